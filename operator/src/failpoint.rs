//! Places at which a test kills the operator: everything that is done to the databases between two of them has to be
//! found again by the next run.

/// Ends the process here, at once, when `FAILPOINTS` says so (`<name>=return`, or `<name>=2*off->return` for the third
/// time). Compiles to nothing without feature `failpoints` of crate `fail`, which only tests enable.
macro_rules! failpoint {
    ($name:expr) => {{
        let _name: &str = $name;
        fail::fail_point!(_name, |_| std::process::abort());
    }};
}

pub(crate) use failpoint;
