//! The limits of requests, for those who describe them. Each is defined and kept where it is enforced.

pub(crate) use super::{
    batch::{ANSWER_BYTES_MAX, OPERATIONS_MAX},
    body::ROWS_MAX,
    include::{BREADTH_MAX, DEPTH_MAX},
    parse::{LIMIT_DEFAULT, OFFSET_MAX},
    reach::ROWS_MAX as FILTERED_ROWS_MAX,
    select::SELECT_MAX,
};
pub(crate) use crate::json::DEPTH_MAX as JSON_DEPTH_MAX;
