// What the README promises of its rule.
#include <carpe_test.h>

int main(void) {
    carpe_test *test = carpe_test_new("{\"max_celsius\": 80}");
    carpe_test_event hot = {.type = "machine.temperature", .subject = "press-1", .data = "{\"celsius\": 81}"};
    CARPE_CHECK_TEXT(carpe_test_send(test, hot).actions, "");
    CARPE_CHECK_TEXT(carpe_test_send(test, hot).actions, "");
    CARPE_CHECK_TEXT(carpe_test_send(test, hot).actions, "notify.service");
    CARPE_CHECK_TEXT(carpe_test_state(test, "press-1"), "{\"hot\":3}");
    carpe_test_free(test);
}
