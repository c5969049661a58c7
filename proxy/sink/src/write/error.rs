//! What a failed write means: wait, look at the rows, or look at the table.

use clickhouse::error::Error as DriverError;

/// What only time heals: connections, limits, load, replicas, credentials and grants on their way.
///
/// <https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp> names the numbers.
const TRANSIENT: [u32; 29] = [
    3,   // UNEXPECTED_END_OF_FILE: the body was cut
    74,  // CANNOT_READ_FROM_FILE_DESCRIPTOR
    75,  // CANNOT_WRITE_TO_FILE_DESCRIPTOR
    76,  // CANNOT_OPEN_FILE
    81,  // UNKNOWN_DATABASE: the operator has not been there yet
    159, // TIMEOUT_EXCEEDED
    160, // TOO_SLOW
    164, // READONLY
    201, // QUOTA_EXCEEDED
    202, // TOO_MANY_SIMULTANEOUS_QUERIES
    203, // NO_FREE_CONNECTION
    209, // SOCKET_TIMEOUT
    210, // NETWORK_ERROR
    225, // NO_ZOOKEEPER
    236, // ABORTED
    241, // MEMORY_LIMIT_EXCEEDED
    242, // TABLE_IS_READ_ONLY
    243, // NOT_ENOUGH_SPACE
    252, // TOO_MANY_PARTS
    285, // TOO_FEW_LIVE_REPLICAS
    286, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
    319, // UNKNOWN_STATUS_OF_INSERT
    394, // QUERY_WAS_CANCELLED
    425, // SYSTEM_ERROR
    439, // CANNOT_SCHEDULE_TASK
    497, // ACCESS_DENIED
    516, // AUTHENTICATION_FAILED
    745, // SERVER_OVERLOADED
    999, // KEEPER_EXCEPTION
];

/// What one row can cause and the rows beside it need not share.
const ROWS: [u32; 19] = [
    6,   // CANNOT_PARSE_TEXT
    27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,  // CANNOT_READ_ALL_DATA
    38,  // CANNOT_PARSE_DATE
    41,  // CANNOT_PARSE_DATETIME
    53,  // TYPE_MISMATCH
    69,  // ARGUMENT_OUT_OF_BOUND
    70,  // CANNOT_CONVERT_TYPE
    72,  // CANNOT_PARSE_NUMBER
    117, // INCORRECT_DATA
    128, // TOO_LARGE_ARRAY_SIZE
    130, // CANNOT_READ_ARRAY_FROM_TEXT
    131, // TOO_LARGE_STRING_SIZE
    321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    407, // DECIMAL_OVERFLOW
    441, // CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING
    469, // VIOLATED_CONSTRAINT
    691, // UNKNOWN_ELEMENT_OF_ENUM
];

/// What to do about a failed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wait and try again, for ever.
    Transient,
    /// Find the row.
    Rows,
    /// The engine answers and refuses this table, such as one that does not exist.
    Table,
}

/// A failed write, as it is to be handled.
#[derive(Debug, thiserror::Error)]
#[error("ClickHouse did not take it")]
pub struct WriteError {
    /// What to do.
    pub refusal: Refusal,
    /// What it said.
    #[source]
    source: DriverError,
}

impl WriteError {
    pub(super) fn timeout() -> Self {
        DriverError::TimedOut.into()
    }
}

impl From<DriverError> for WriteError {
    fn from(source: DriverError) -> Self {
        let refusal = match &source {
            DriverError::BadResponse(text) => refusal_of(text),
            _ => Refusal::Transient,
        };
        Self { refusal, source }
    }
}

/// An answer without a code is not from ClickHouse but from something before it.
fn refusal_of(text: &str) -> Refusal {
    match code_of(text) {
        None => Refusal::Transient,
        Some(code) if TRANSIENT.contains(&code) => Refusal::Transient,
        Some(code) if ROWS.contains(&code) => Refusal::Rows,
        Some(_) => Refusal::Table,
    }
}

/// The number in `Code: 241. DB::Exception: …`.
fn code_of(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_decides_what_is_done() {
        for (text, refusal) in [
            (
                "Code: 241. DB::Exception: Memory limit exceeded",
                Refusal::Transient,
            ),
            ("502 Bad Gateway", Refusal::Transient),
            ("Code: 117. DB::Exception: Incorrect data", Refusal::Rows),
            ("Code: 60. DB::Exception: Unknown table", Refusal::Table),
            ("Code: 16, e.displayText() = no such column", Refusal::Table),
        ] {
            assert_eq!(refusal_of(text), refusal, "{text}");
        }
    }
}
