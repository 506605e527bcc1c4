from carpe_sdk.testing import RuleTest, event
from {{module}} import {{Name}}


def test_three_times_in_a_row() -> None:
    test = RuleTest({{Name}}, {"max_celsius": 90})

    def read(celsius: float) -> int:
        reading = event("machine.temperature", subject="press-1", data={"celsius": celsius})
        return len(test.send(reading).actions)

    assert [read(celsius) for celsius in (91, 92, 93, 94)] == [0, 0, 1, 0]
    assert [read(celsius) for celsius in (20, 91, 92, 93)] == [0, 0, 0, 1]
