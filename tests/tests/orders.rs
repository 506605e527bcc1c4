//! Orders under `kill -9`: a short run of it, and that it finds what it should. `make orders` is the real run.

use carpe_tests::crash::folder_in;
use carpe_tests::daemon::carpe;
use carpe_tests::orders::books::Fault;
use carpe_tests::orders::model::Wrong;
use carpe_tests::orders::{Options, Report, run};

/// The host's folder is left behind if what is found was not to be.
fn orders(orders: u64, kills: u64, fault: Option<Fault>) -> Report {
    let folder = folder_in(None);
    let report = run(&Options {
        orders,
        kills,
        seed: 11,
        carpe: carpe().to_owned(),
        plant: None,
        fault,
        folder: folder.clone(),
    });
    println!("{report}");
    if fault.is_none() && !report.is_clean() {
        panic!("{}\n{}", report.told(3), folder.display());
    }
    std::fs::remove_dir_all(folder).expect("removed");
    report
}

#[test]
fn orders_come_to_an_end_whoever_fails_and_whenever_the_host_is_killed() {
    let report = orders(150, 6, None);
    assert_eq!((report.orders, report.kills), (150, (6, 1)));
    assert!(report.under_way.values().sum::<u64>() > 0, "it was killed while orders were under way");
    assert!(report.taps > 150 && report.requests.1 > 0, "taps and requests were repeated: {report}");
    let [ordered, undone, _] = report.ends;
    assert!(ordered > 0 && undone > 0, "{report}");
}

/// That a fault is found in some orders, as this.
#[track_caller]
fn finds(fault: Fault, wrong: Wrong) {
    let report = orders(100, 2, Some(fault));
    let found = report.found.iter().flat_map(|(_, violations, _)| violations);
    assert!(found.clone().any(|violation| violation.wrong == wrong), "{fault:?} is not found: {report}");
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

#[test]
fn a_grocer_that_forgets_keys_is_found() {
    finds(Fault::GrocerForgetsKeys, Wrong::Twice);
}

#[test]
fn a_step_that_is_done_after_it_was_undone_is_found() {
    finds(Fault::UndoneIsDoneLater, Wrong::HalfDone);
}

#[test]
fn a_refund_that_nobody_makes_is_found() {
    finds(Fault::RefundsLeadNowhere, Wrong::HalfDone);
}
