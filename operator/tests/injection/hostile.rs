//! The texts.

/// Each would mean something to somebody who did not take it for a value. None is a name of ours.
const TEXTS: [&str; 34] = [
    "'",
    "''",
    "\"",
    "`",
    "x'; drop table canary.canary; --",
    "x\"; drop table canary.canary; --",
    "'); drop schema canary cascade; --",
    "a -- b",
    "/* a",
    "*/ a",
    "; select pg_sleep(60)",
    "$$; drop table canary.canary; $$",
    "$tag$",
    "$1",
    "\\",
    "\\'",
    "\\x41",
    "E'\\x41'",
    "U&'\\0041'",
    "%s %I %L %1$s %n",
    "{p:String} {} {{0}}",
    "a\nb",
    "a\r\n; drop table canary.canary",
    "\t\u{0b}\u{1b}",
    "\u{202e}elbat\u{202c} \u{2066}x\u{2069}",
    "\u{0441}rm",
    "\u{ff07}; drop table canary.canary",
    "\u{2019}\u{2018}\u{02bc}",
    "\u{feff}a\u{200b}b",
    "e\u{301}",
    "\u{1f600}\u{10ffff}",
    "../../secrets/postgres-owner?x=#",
    "NULL",
    "Select",
];

/// Those, and some that are too long to be written here, or cannot be.
pub fn texts() -> Vec<String> {
    let mut texts: Vec<String> = TEXTS.iter().map(|t| (*t).to_owned()).collect();
    texts.extend(["X".repeat(63), format!("{}'", "y".repeat(62))]);
    texts
}
