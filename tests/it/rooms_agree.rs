//! The dispatcher against the naive model, with random operations.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tickwire::wire::Reason;

use crate::model::{Op, run};

fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(any::<[u8; 4]>().prop_map(Op::read), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_dispatcher_tells_everyone_what_a_naive_model_tells_them(ops in ops()) {
        run(&ops);
    }
}

/// Otherwise the agreement would say little.
#[test]
fn random_operations_meet_every_refusal_and_every_part_of_a_batch() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for _ in 0..1500 {
        met.append(&mut run(&ops().new_tree(&mut runner).unwrap().current()));
    }
    let refusals = [104, 106, 107, 231, 232, 233, 234, 237, 238, 240].map(|reason| Reason(reason).sentence());
    let parts = [
        "fresh",
        "recovered",
        "gap",
        "other life",
        "left",
        "done",
        "direct",
        "urgent direct",
        "no members",
        "members",
        "no values",
        "values",
        "urgent batch",
        "values alone",
        "came",
        "came and left",
        "events",
        "deleted",
        "gone",
        "missed edge",
    ];
    let expected: BTreeSet<_> = refusals.into_iter().chain(parts).collect();
    assert_eq!(met, expected);
}
