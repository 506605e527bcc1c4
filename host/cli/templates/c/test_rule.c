#include <carpe_test.h>
#include <stdio.h>

static const char *read_celsius(carpe_test *test, int celsius) {
    char data[40];
    snprintf(data, sizeof data, "{\"celsius\": %d}", celsius);
    carpe_test_event reading = {.type = "machine.temperature", .subject = "press-1", .data = data};
    return carpe_test_send(test, reading).actions;
}

int main(void) {
    carpe_test *test = carpe_test_new("{\"max_celsius\": 90}");
    // Three in a row, and only the third time.
    CARPE_CHECK_TEXT(read_celsius(test, 91), "");
    CARPE_CHECK_TEXT(read_celsius(test, 92), "");
    CARPE_CHECK_TEXT(read_celsius(test, 93), "notify.service");
    CARPE_CHECK_TEXT(read_celsius(test, 94), "");
    CARPE_CHECK_TEXT(read_celsius(test, 20), "");
    CARPE_CHECK_TEXT(read_celsius(test, 91), "");
    carpe_test_free(test);
    puts("all tests pass");
}
