//! Kubernetes quantities in the resources of a pod: no sum or ratio overflows.
#![no_main]

use bootlace_core::quantity::Quantity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (one, other) = text.split_once('\0').unwrap_or((text, "1Ki"));
    let Ok(one) = Quantity::parse(one) else { return };
    let Ok(other) = Quantity::parse(other) else { return };
    assert!(one.plus(other) >= one.min(other) || one.is_negative() || other.is_negative());
    let _ = one.scaled(one, other, true).units();
    // Kubernetes does not accept larger numbers without a suffix.
    if one.units() < u64::MAX >> 1 && !one.is_negative() {
        assert_eq!(Quantity::parse(&one.to_string()), Ok(one));
    }
});
