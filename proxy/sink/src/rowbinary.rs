//! The primitives of ClickHouse's `RowBinary` format: little-endian, no padding, lengths as LEB128.

use uuid::Uuid;

/// A length or count: LEB128.
pub fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length as u64;
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A `String`: its length and its bytes.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// A `UUID`: two 64-bit halves, each little-endian, the high one first.
pub fn put_uuid(out: &mut Vec<u8>, id: Uuid) {
    let (high, low) = id.as_u64_pair();
    out.extend_from_slice(&high.to_le_bytes());
    out.extend_from_slice(&low.to_le_bytes());
}

/// The byte before a value of a `Nullable` column: 1 means null and no value follows.
pub fn put_is_null(out: &mut Vec<u8>, is_null: bool) {
    out.push(u8::from(is_null));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_leb128() {
        for (length, bytes) in [
            (0, vec![0]),
            (127, vec![0x7f]),
            (128, vec![0x80, 1]),
            (300, vec![0xac, 2]),
        ] {
            let mut out = Vec::new();
            put_length(&mut out, length);
            assert_eq!(out, bytes, "{length}");
        }
    }

    #[test]
    fn a_uuid_is_two_little_endian_halves() {
        let mut out = Vec::new();
        put_uuid(
            &mut out,
            "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
        );
        assert_eq!(
            out,
            [
                0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa,
                0x99, 0x88
            ]
        );
    }
}
