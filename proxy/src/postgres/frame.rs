//! What the server sends, cut into frames without copying.

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest frame that is believed. PostgreSQL's own bound is 1 GiB, ours that of an answer and some.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The server does not speak the protocol as we know it; the connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server broke the protocol: {0}")]
pub(super) struct ProtocolError(pub &'static str);

/// One message of the server.
#[derive(Debug)]
pub(super) struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// Takes the next whole frame from the buffer.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
    let Some(header) = buffer.first_chunk::<5>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if !(4..=FRAME_BYTES_MAX).contains(&length) {
        return Err(ProtocolError("a frame of impossible length"));
    }
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    let mut body = buffer.split_to(length + 1).freeze();
    let tag = body.get_u8();
    body.advance(4);
    Ok(Some(Frame { tag, body }))
}

/// One row, its values in text format.
#[derive(Debug, Clone)]
pub struct Row(Bytes);

impl Row {
    /// Checks the body of a DataRow.
    pub(super) fn new(body: Bytes) -> Result<Self, ProtocolError> {
        let broken = ProtocolError("a row that is not one");
        let (count, mut rest) = body.split_at_checked(2).ok_or(broken.clone())?;
        let count = u16::from_be_bytes([count[0], count[1]]);
        for _ in 0..count {
            let (length, tail) = rest.split_at_checked(4).ok_or(broken.clone())?;
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let length = usize::try_from(length).unwrap_or(0);
            rest = tail.get(length..).ok_or(broken.clone())?;
        }
        if !rest.is_empty() {
            return Err(broken);
        }
        Ok(Self(body))
    }

    /// The values in order; `None` is null.
    pub fn values(&self) -> Values<'_> {
        Values { rest: &self.0[2..] }
    }

    /// Bytes that it holds.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Values of a [`Row`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, rest) = rest.split_at(length);
                self.rest = rest;
                Some(Some(value))
            }
            Err(_) => {
                self.rest = rest;
                Some(None)
            }
        }
    }
}

/// An ErrorResponse: what decides, and what the log says. Nothing of it goes to a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{code} {message}")]
pub(super) struct ServerError {
    pub code: String,
    pub message: String,
    pub constraint: Option<String>,
}

impl ServerError {
    pub fn new(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|b| *b == 0) {
            let Some((kind, value)) = field.split_first() else {
                continue;
            };
            let value = || String::from_utf8_lossy(value).into_owned();
            match kind {
                b'C' => error.code = value(),
                b'M' => error.message = value(),
                b'n' => error.constraint = Some(value()),
                _ => {}
            }
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_they_end() {
        let mut buffer = BytesMut::from(&b"Z\0\0\0\x05I1\0\0"[..]);
        let frame = take(&mut buffer).unwrap().unwrap();
        assert_eq!((frame.tag, &frame.body[..]), (b'Z', &b"I"[..]));
        assert!(take(&mut buffer).unwrap().is_none());
        assert!(take(&mut BytesMut::from(&b"Z\0\0\0\x03"[..])).is_err());
        assert!(take(&mut BytesMut::from(&b"Z\xff\0\0\x03"[..])).is_err());
    }

    #[test]
    fn rows_hold_values_and_nulls() {
        let body = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        let row = Row::new(Bytes::from_static(body)).unwrap();
        assert_eq!(
            row.values().collect::<Vec<_>>(),
            [Some(&b"ab"[..]), None, Some(&b""[..])]
        );
        for bad in [
            &b"\0"[..],
            b"\0\x01\0\0\0\x02a",
            b"\0\x01\0\0\0\x01ab",
            b"\0\x02\0\0\0\x01a",
        ] {
            assert!(Row::new(Bytes::copy_from_slice(bad)).is_err());
        }
    }

    #[test]
    fn an_error_tells_its_code_and_constraint() {
        let error = ServerError::new(b"SERROR\0VERROR\0C23505\0Mduplicate\0ncrm__x\0\0");
        assert_eq!(
            (error.code.as_str(), error.constraint.as_deref()),
            ("23505", Some("crm__x"))
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = take(&mut buffer) {
                let _ = ServerError::new(&frame.body);
                if let Ok(row) = Row::new(frame.body) { row.values().for_each(drop); }
            }
        }
    }
}
