//! A host with nothing to do: how soon it is ready, and what it takes to be there.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::daemon::Home;
use crate::report::{Better, Report, Row};
use crate::times::median;
use crate::{Setup, copies, rules};

const PLUGINS: usize = 10;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let component = std::fs::read(rules::component(setup, "bench/guests/small")?)?;
    let home = Home::new(&setup.carpe, &setup.folder.join("idle"), "")?;
    copies::fill(&home, &component, 0..PLUGINS, PLUGINS)?;
    // The first start compiles.
    home.start()?.0.stop()?;
    let (runs, watched) = if setup.short { (setup.runs.min(3), 2.0) } else { (setup.runs, 5.0) };
    let (mut starts, mut memory, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let (daemon, start) = home.start()?;
        starts.push(start.as_secs_f64() * 1e3);
        sleep(Duration::from_secs(2));
        memory.push(daemon.memory()? as f64 / 1e6);
        let before = daemon.ran()?;
        sleep(Duration::from_secs_f64(watched));
        busy.push(daemon.ran()?.since(&before).as_secs_f64() * 1e3 / watched);
        daemon.stop()?;
    }
    copies::remove(&home)?;
    report.row(Row::new("idle/start", "ms", Better::Lower, median(starts), "150 ms", 150.0).target(1.0));
    report.row(Row::new("idle/memory", "MB", Better::Lower, median(memory), "60 MB", 60.0).target(1.0));
    let busy = Row::new("idle/cpu", "ms CPU/s", Better::Lower, median(busy), "1 % of a core", 10.0);
    report.row(busy.target(1.0));
    report.note(format!("idle: {PLUGINS} compiled plugins, the second start; nothing arrives"));
    Ok(())
}
