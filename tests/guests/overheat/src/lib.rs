use carpe_sdk::prelude::*;

#[derive(Deserialize)]
struct Overheat { max_celsius: f64 }            // the operator's configuration

impl Rule for Overheat {
    type State = Streak;                         // what is remembered per key
    fn on_event(&self, event: &Event, streak: &mut Streak, out: &mut Output) -> Result<()> {
        if streak.of(event.number("/celsius")? > self.max_celsius) == 3 {
            out.moment("machine.overheating").why("too hot three times in a row").action("notify.service", json!({}));
        }
        Ok(())
    }
}
export_rule!(Overheat, on("machine.temperature").moment("machine.overheating").action("notify.service"));
