//! A machine was too hot three times in a row. See README.md.

use carpe_sdk::prelude::*;

/// The operator's configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct {{Name}} {
    max_celsius: f64,
}

/// What is remembered of a machine.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Machine {
    hot: u32,
}

impl Rule for {{Name}} {
    type State = Machine;

    fn on_event(&self, event: &Event, machine: &mut Machine, out: &mut Output) -> Result<()> {
        let celsius = event.number("/celsius")?;
        machine.hot = if celsius > self.max_celsius { machine.hot + 1 } else { 0 };
        if machine.hot == 3 {
            out.moment("machine.overheating")
                .why("too hot three times in a row")
                .action("notify.service", json!({"machine": event.key()}));
        }
        Ok(())
    }
}

export_rule!({{Name}}, on("machine.temperature").moment("machine.overheating").action("notify.service"));

#[cfg(test)]
mod tests {
    use carpe_sdk::test::{RuleTest, event};

    use super::*;

    #[test]
    fn three_times_in_a_row() {
        let mut test: RuleTest<{{Name}}> = RuleTest::new(json!({"max_celsius": 90}));
        let mut read = |celsius: f64| {
            let reading = event("machine.temperature").subject("press-1").data(json!({"celsius": celsius}));
            test.send(reading).actions().len()
        };
        assert_eq!([91.0, 92.0, 93.0, 94.0].map(&mut read), [0, 0, 1, 0]);
        assert_eq!([20.0, 91.0, 92.0, 93.0].map(&mut read), [0, 0, 0, 1]);
    }
}
