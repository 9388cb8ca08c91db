//! Whatever is asked of the rooms, everyone is told what a naive model would tell them.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "tests use more of the recorder")]
#[path = "../../tests/it/model/mod.rs"]
mod model;

fuzz_target!(|data: &[u8]| {
    let (ops, _) = data.as_chunks::<4>();
    let ops: Vec<_> = ops.iter().take(300).map(|op| model::Op::read(*op)).collect();
    model::run(&ops);
});
