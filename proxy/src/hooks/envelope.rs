//! What a module is sent before a write.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Occasion;

/// The body of a call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    event: &'static str,
    module: &'a str,
    model: &'a str,
    tenant_id: String,
    user_id: &'a str,
    trace_id: &'a str,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    merge_patch: bool,
    records: Box<RawValue>,
}

impl<'a> Envelope<'a> {
    /// An envelope around records that are a JSON array.
    pub fn new(occasion: &Occasion<'a>, records: &[u8]) -> Self {
        let records = String::from_utf8_lossy(records).into_owned();
        Self {
            event: occasion.event.as_str(),
            module: occasion.model.name().module.as_str(),
            model: occasion.model.name().model.as_str(),
            tenant_id: occasion.caller.tenant.id.to_string(),
            user_id: &occasion.caller.user,
            trace_id: &occasion.caller.trace.0,
            dry_run: occasion.dry_run,
            filter: occasion.filter,
            merge_patch: occasion.merge_patch,
            records: RawValue::from_string(records).expect("records are written as JSON by us"),
        }
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        serde_json::to_vec(&self).expect("an envelope is plain data")
    }
}
