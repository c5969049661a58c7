//! Every field of `samples`: its type in PostgreSQL and the values that rows hold and requests ask for.

/// One field of `samples`.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The field.
    pub field: &'static str,
    /// The type's word in a model, which errors use.
    pub name: &'static str,
    /// The column's type, written by hand.
    pub sql_type: &'static str,
    /// Values as the wire has them: extremes, neighbours, look-alikes. Rows hold these and null.
    pub values: &'static [&'static str],
    /// More values to ask for, which no row holds.
    pub absent: &'static [&'static str],
}

impl Kind {
    /// A value as SQL.
    pub fn literal(&self, value: &str) -> String {
        let quoted = value.replace('\'', "''");
        match self.name {
            "bytes" => format!("decode('{quoted}', 'base64')"),
            // A comparison is not rounded to the column's scale.
            "decimal" => format!("'{quoted}'::numeric"),
            _ => format!("'{quoted}'::{}", self.sql_type),
        }
    }

    /// Rows' values and others.
    pub fn asked(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().chain(self.absent).copied()
    }

    /// Whether rows can be sorted by it.
    pub fn has_order(&self) -> bool {
        !matches!(self.name, "array" | "json" | "vector")
    }
}

const fn of(
    field: &'static str,
    name: &'static str,
    sql_type: &'static str,
    values: &'static [&'static str],
    absent: &'static [&'static str],
) -> Kind {
    Kind {
        field,
        name,
        sql_type,
        values,
        absent,
    }
}

/// All of them.
#[rustfmt::skip]
pub const KINDS: [Kind; 25] = [
    of("a_bool", "bool", "boolean", &["true", "false"], &[]),
    of("a_int16", "int16", "smallint", &["-32768", "-1", "0", "1", "7", "32767"], &["2"]),
    of("a_int32", "int32", "integer", &["-2147483648", "-7", "0", "1", "7", "42", "2147483647"], &["8"]),
    of("a_int64", "int64", "bigint",
        &["-9223372036854775808", "-9007199254740993", "0", "9007199254740992", "9007199254740993", "9223372036854775807"], &["5"]),
    of("a_float64", "float64", "double precision",
        &["-1.7976931348623157e308", "-0.5", "0", "5e-324", "0.1", "1e100", "3.25"], &["0.3", "-0"]),
    of("a_decimal", "decimal", "numeric(38,6)",
        &["-99999999999999999999999999999999.999999", "-1.5", "0", "0.000001", "1.5", "100", "99999999999999999999999999999999.999999"],
        &["1.5000001", "1.50", "2", "1e2"]),
    of("a_text", "text", "text",
        &["", "a", "A", "ä", "a,b", "a\"b", "(x)", "a.b", "100%", "a_b", "back\\slash", "line\nbreak", "null", "漢字 🚀", " lead",
          "The quick brown foxes jumped", "eq.1", "{x,y}", "e\u{301}", "*", "o'brien", "NULL", "jumping fox"],
        &["b", "é"]),
    of("a_uuid", "uuid", "uuid",
        &["00000000-0000-0000-0000-000000000000", "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "7fffffff-ffff-4fff-bfff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        &["80000000-0000-4000-8000-000000000000", "0198F0AA-5B1E-7C3D-9A4E-2F6B8C1D0E01"]),
    of("a_date", "date", "date", &["0001-01-01", "1970-01-01", "2024-02-29", "2026-01-02", "9999-12-31"], &["2025-06-01"]),
    of("a_timestamp", "timestamp", "timestamptz",
        &["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59.999999Z", "2026-01-02T03:04:05Z", "9999-12-31T23:59:59.999999Z"],
        &["2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05.000001Z", "2026-01-02 03:04:05"]),
    of("a_time", "time", "time", &["00:00:00", "03:04:05", "12:00:00.000001", "23:59:59.999999"], &["12:00:00"]),
    of("a_json", "json", "jsonb",
        &["null", "{\"a\": 1, \"b\": {\"c\": [1, 2, {\"d\": \"x\"}]}, \"t\": \"text\"}", "{\"a\": \"1\"}", "[1, 2, 3]", "\"str\"", "42",
          "{\"a\": null}", "{\"big\": 123456789012345678901234567890.5}", "{\"k.e y\": true, \"->\": \"arrow\", \"ü\": \"ö\", \"\": 0}", "{}", "[]",
          "{\"a\": 1.0}", "true", "{\"a\": [], \"b\": \"x\"}"],
        &["{\"b\": 2}", "1", "{\"a\":1}"]),
    of("a_bytes", "bytes", "bytea", &["", "AA==", "/wA=", "3q2+7w==", "YWJj"], &["AQ=="]),
    of("a_enum", "enum", "text", &["x", "y", "Ünder, way"], &["X", "q"]),
    of("a_inet", "inet", "inet", &["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "192.168.1.1/24"], &["10.0.0.2", "10.0.0.1/32"]),
    of("a_vector", "vector", "real[]",
        &["{0,0,0}", "{0.1,-0.5,3.25}", "{3.4028235e38,-3.4028235e38,1e-45}", "{1e6,100000,1e-5}"], &["{1,2,3}"]),
    of("bools", "array", "boolean[]", &["{}", "{true}", "{true,false}", "{false,false}"], &["{false}"]),
    of("int16s", "array", "smallint[]", &["{}", "{1}", "{1,2}", "{2,1}", "{-32768,32767}"], &["{3}"]),
    of("int32s", "array", "integer[]", &["{}", "{1}", "{1,2,3}", "{2,1}", "{-2147483648,2147483647}"], &["{3}"]),
    of("int64s", "array", "bigint[]", &["{}", "{1}", "{9007199254740993,9007199254740992}", "{-9223372036854775808}"], &["{9007199254740993}"]),
    of("float64s", "array", "double precision[]", &["{}", "{0.1}", "{0.1,1e100}", "{5e-324,-0.5}"], &["{1e100}"]),
    of("texts", "array", "text[]",
        &["{}", "{a}", "{a,b}", "{\"a,b\",\"q\\\"x\",\"\"}", "{\"NULL\",\"{}\",\"back\\\\slash\"}", "{ä,\"漢 字\"}"], &["{b}", "{\"\"}"]),
    of("uuids", "array", "uuid[]", &["{}", "{00000000-0000-0000-0000-000000000000}", "{0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01,ffffffff-ffff-ffff-ffff-ffffffffffff}"], &["{ffffffff-ffff-ffff-ffff-ffffffffffff}"]),
    of("dates", "array", "date[]", &["{}", "{0001-01-01}", "{2024-02-29,9999-12-31}"], &["{9999-12-31}"]),
    of("timestamps", "array", "timestamptz[]", &["{}", "{\"0001-01-01T00:00:00Z\"}", "{\"2024-02-29T23:59:59.999999Z\",\"2026-01-02T03:04:05Z\"}"], &["{\"2026-01-02T03:04:05Z\"}"]),
];
