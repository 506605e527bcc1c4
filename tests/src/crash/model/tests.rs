//! Small histories, one for each way in which things go wrong.

use super::*;

const KEY: &str = "key";

/// Three events, of which the second sets a timer and the third asks for a note, all accepted.
fn model() -> Model {
    let mut model = Model::default();
    for entry in [
        Entry { n: 1, ..Entry::default() },
        Entry { n: 2, set_ms: Some(10), ..Entry::default() },
        Entry { n: 3, note: true, ..Entry::default() },
    ] {
        model.sent(KEY, &entry);
        model.acknowledged(KEY, entry.n);
    }
    model
}

/// What the rule's book says when all of that has come to its end.
fn book() -> Book {
    let chain = [1, 2, 3].into_iter().fold(0, chained);
    Book { events: 3, last: 3, chain, set: 1, fired: 1, delivered: 1, ..Book::default() }
}

fn note() -> Request {
    let action = Action::Note(KEY.to_owned(), 3);
    Request { id: "a".to_owned(), action, body: 1, expires: None, arrived: 1_000, held_up_ms: 0 }
}

fn ring() -> Request {
    Request { id: "b".to_owned(), action: Action::Ring(KEY.to_owned(), 2), body: 2, ..note() }
}

/// How much is lost, doubled, reordered and late.
fn totals(model: &Model) -> [u64; 4] {
    [Wrong::Lost, Wrong::Doubled, Wrong::Reordered, Wrong::Late].map(|wrong| model.total(wrong))
}

/// What a book that differs comes to, in the middle of things.
fn of_book(change: impl FnOnce(&mut Book)) -> [u64; 4] {
    let (mut model, mut book) = (model(), book());
    change(&mut book);
    model.book(KEY, 3, &book);
    totals(&model)
}

/// What a book and requests that differ come to at the end.
fn at_the_end(change: impl FnOnce(&mut Book, &mut Vec<(Request, Answered)>)) -> [u64; 4] {
    let mut requests = vec![(note(), Answered::Taken), (ring(), Answered::Taken)];
    let (mut model, mut book) = (model(), book());
    change(&mut book, &mut requests);
    for (request, answered) in requests {
        model.request(request, answered);
    }
    model.book(KEY, 3, &book);
    model.last_book(KEY, &book);
    totals(&model)
}

#[test]
fn a_clean_history_is_clean() {
    assert_eq!(of_book(|_| {}), [0; 4]);
    assert_eq!(at_the_end(|_, _| {}), [0; 4]);
    let again = |_: &mut Book, requests: &mut Vec<(Request, Answered)>| {
        requests.insert(0, (note(), Answered::Failed));
        requests.push((note(), Answered::Taken));
    };
    assert_eq!(at_the_end(again), [0; 4], "an action may come again under its key");
}

#[test]
fn what_was_not_acknowledged_may_be_in_the_book_or_not() {
    for counted in [3, 4] {
        let (mut model, mut book) = (model(), book());
        model.sent(KEY, &Entry { n: 4, ..Entry::default() });
        if counted == 4 {
            book = Book { events: 4, last: 4, chain: chained(book.chain, 4), ..book };
        }
        model.book(KEY, 3, &book);
        assert_eq!(totals(&model), [0; 4], "{counted} counted");
        model.acknowledged(KEY, 4);
        model.book(KEY, 4, &book);
        assert_eq!(totals(&model), [4 - counted, 0, 0, 0], "{counted} counted of 4 that were accepted");
    }
}

#[test]
fn a_lost_group_shows() {
    let first = [1].into_iter().fold(0, chained);
    let end = |book: &mut Book| {
        *book = Book { events: 1, last: 1, chain: first, ..Book::default() };
    };
    assert_eq!(of_book(end), [2, 0, 0, 0], "the last two events");
    let middle = |book: &mut Book| {
        let chain = [1, 3].into_iter().fold(0, chained);
        *book = Book { events: 2, last: 3, chain, holes: [2].into(), delivered: 1, ..Book::default() };
    };
    assert_eq!(of_book(middle), [1, 0, 0, 0], "one in the middle, and the timer that it would have set");
    let mut model = model();
    model.never_came_back("its journal is damaged");
    assert_eq!(totals(&model), [3, 0, 0, 0], "all of it");
}

#[test]
fn a_double_apply_shows() {
    let twice = |book: &mut Book| {
        let chain = [1, 2, 2, 3].into_iter().fold(0, chained);
        *book = Book { events: 4, chain, repeated: 1, ..book.clone() };
    };
    assert_eq!(of_book(twice), [0, 1, 0, 0]);
    let more_than_sent = |book: &mut Book| {
        *book = Book { events: 4, last: 4, chain: chained(book.chain, 4), ..book.clone() };
    };
    assert_eq!(of_book(more_than_sent), [0, 1, 0, 0]);
    assert_eq!(of_book(|book| book.strays = 1), [0, 1, 0, 0], "a timer fired again");
    assert_eq!(of_book(|book| book.fired = 2), [0, 1, 0, 0], "a timer fired and was cancelled");
    assert_eq!(of_book(|book| book.unasked = 1), [0, 1, 0, 0], "an outcome was heard again");
    assert_eq!(of_book(|book| book.failed = 1), [0, 1, 0, 0], "two outcomes of one note");
}

#[test]
fn another_order_shows() {
    let swapped = |book: &mut Book| book.chain = [2, 1, 3].into_iter().fold(0, chained);
    assert_eq!(of_book(swapped), [0, 0, 1, 0]);
    assert_eq!(of_book(|book| book.disordered = 1), [0, 0, 1, 0]);
    assert_eq!(of_book(|book| book.early = 1), [0, 0, 1, 0], "a timer before it was due");
    assert_eq!(of_book(|book| book.overtaken = 1), [0, 0, 1, 0], "an event before a timer that was due");
}

#[test]
fn lost_timers_and_outcomes_show() {
    assert_eq!(of_book(|book| (book.set, book.fired) = (0, 0)), [1, 0, 0, 0], "it was not set");
    assert_eq!(of_book(|book| book.fired = 0), [1, 0, 0, 0], "it is gone");
    assert_eq!(of_book(|book| book.delivered = 0), [1, 0, 0, 0], "an outcome is gone");
    let waits = |book: &mut Book, requests: &mut Vec<(Request, Answered)>| {
        book.fired = 0;
        book.waiting.insert("2".to_owned(), 5);
        requests.pop();
    };
    // It waits, and nothing rang.
    assert_eq!(at_the_end(waits), [2, 0, 0, 0]);
    let open = |book: &mut Book, _: &mut Vec<(Request, Answered)>| {
        book.delivered = 0;
        book.open.insert(3);
    };
    assert_eq!(at_the_end(open), [1, 0, 0, 0]);
}

#[test]
fn an_action_that_never_arrived_shows() {
    assert_eq!(at_the_end(|_, requests| requests[0].1 = Answered::Failed)[0], 2, "and counts as delivered");
    let dropped = |book: &mut Book, requests: &mut Vec<(Request, Answered)>| {
        (book.delivered, book.failed) = (0, 1);
        requests.remove(0);
    };
    assert_eq!(at_the_end(dropped), [2, 0, 0, 0], "given up on without a reason");
    let refused = |book: &mut Book, requests: &mut Vec<(Request, Answered)>| {
        (book.delivered, book.rejected) = (0, 1);
        requests[0].1 = Answered::Refused;
    };
    assert_eq!(at_the_end(refused), [0; 4], "a refusal is an end too");
    assert_eq!(at_the_end(|_, requests| drop(requests.pop())), [2, 0, 0, 0], "a timer that nobody heard");
}

#[test]
fn one_action_has_one_key_and_one_content() {
    let of = |second: Request| {
        let mut model = model();
        model.request(note(), Answered::Failed);
        model.request(second, Answered::Taken);
        totals(&model)
    };
    assert_eq!(of(note()), [0; 4]);
    assert_eq!(of(Request { id: "c".to_owned(), ..note() }), [0, 1, 0, 0], "two keys");
    assert_eq!(of(Request { body: 9, ..note() }), [0, 1, 0, 0], "two contents");
    assert_eq!(of(Request { id: "a".to_owned(), ..ring() }), [0, 1, 0, 0], "two actions under one key");
    let unknown = Action::Note(KEY.to_owned(), 1);
    assert_eq!(of(Request { id: "d".to_owned(), action: unknown, ..note() }), [0, 1, 0, 0], "not asked for");
}

#[test]
fn a_try_after_the_expiry_shows() {
    let of = |late: u64, held_up_ms: u64| {
        let mut model = model();
        let arrived = 1_000 + late;
        model.request(Request { expires: Some(1_000), arrived, held_up_ms, ..note() }, Answered::Failed);
        totals(&model)
    };
    assert_eq!(of(0, 0), [0; 4]);
    assert_eq!(of(ON_THE_WIRE_MS, 0), [0; 4]);
    assert_eq!(of(ON_THE_WIRE_MS + 1, 0), [0, 0, 0, 1]);
    assert_eq!(of(ON_THE_WIRE_MS + 40, 40), [0; 4], "nobody on this machine was run for so long");
}

#[test]
fn what_can_expire_need_not_arrive() {
    let mut model = Model::default();
    model.sent(KEY, &Entry { n: 1, note: true, expires_ms: Some(5), ..Entry::default() });
    model.acknowledged(KEY, 1);
    let book = Book { events: 1, last: 1, chain: chained(0, 1), expired: 1, ..Book::default() };
    model.book(KEY, 1, &book);
    model.last_book(KEY, &book);
    assert_eq!(totals(&model), [0; 4]);
}

#[test]
fn what_is_set_aside_has_no_effect() {
    let of = |counted: bool, at_the_end: bool| {
        let (mut model, mut book) = (model(), book());
        let fails = Entry { n: 4, fail: Some("trap"), ..Entry::default() };
        model.sent(KEY, &fails);
        model.acknowledged(KEY, 4);
        if counted {
            book = Book { events: 4, last: 4, chain: chained(book.chain, 4), ..book };
        }
        if !at_the_end {
            model.sent(KEY, &Entry { n: 5, ..Entry::default() });
            let holes = if counted { BTreeSet::new() } else { BTreeSet::from([4]) };
            let (events, chain) = (book.events + 1, chained(book.chain, 5));
            book = Book { events, last: 5, chain, holes, ..book };
        }
        model.book(KEY, 4, &book);
        totals(&model)
    };
    assert_eq!(of(false, true), [0; 4]);
    assert_eq!(of(false, false), [0; 4]);
    assert_eq!(of(true, true), [0, 1, 0, 0]);
    assert_eq!(of(true, false), [0, 1, 0, 0]);
}

#[test]
fn an_echo_comes_back_once() {
    let of = |change: fn(&mut Book)| {
        let mut model = Model::default();
        model.sent(KEY, &Entry { n: 1, echo: true, ..Entry::default() });
        model.acknowledged(KEY, 1);
        let mut book = Book { events: 1, last: 1, chain: chained(0, 1), echoed: 1, ..Book::default() };
        change(&mut book);
        model.book(KEY, 1, &book);
        model.last_book(KEY, &book);
        totals(&model)
    };
    assert_eq!(of(|_| {}), [0; 4]);
    assert_eq!(of(|book| book.ghosts = 1), [0, 1, 0, 0]);
    assert_eq!(of(|book| book.echoed = 0), [1, 0, 0, 0]);
    assert_eq!(of(|book| (book.echoed, book.called) = (0, [1].into())), [1, 0, 0, 0]);
}
