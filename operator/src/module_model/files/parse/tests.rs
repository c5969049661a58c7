use super::*;

const NAME: &str = "20261121_101500_seed.sql";

fn problem(name: &str, text: &str) -> String {
    parse(name, text).unwrap_err().to_string()
}

#[test]
fn a_file_is_read_with_its_lines_kept() {
    let text = "-- a remark\n-- +septem per-tenant\n-- +goose Up\ninsert into a values (1);\n-- +goose StatementBegin\nselect 1;\n-- +goose StatementEnd\n-- +goose Down\ndrop table a;\n";
    let file = parse(NAME, text).unwrap();
    assert_eq!(file.version.as_str(), "20261121_101500");
    assert_eq!(file.description, "seed");
    assert_eq!(file.kind, FileKind::PerTenant);
    assert_eq!(file.index, None);
    assert_eq!(
        &*file.up,
        "\n\n\ninsert into a values (1);\n\nselect 1;\n\n\n\n"
    );
    assert_eq!(file.sha256, sha256(text));
}

#[test]
fn windows_line_ends_and_a_missing_last_one_change_nothing() {
    let file = parse(NAME, "-- +goose Up\r\nselect 1;\r\nselect 2;").unwrap();
    assert_eq!(&*file.up, "\nselect 1;\nselect 2;\n");
    assert_eq!(file.kind, FileKind::Schema);
}

#[test]
fn names_that_are_no_names_of_files_are_refused() {
    for name in [
        "",
        "seed.sql",
        "20261121_101500.sql",
        "20261121_101500_.sql",
        "20261121_101500_Seed.sql",
        "20261121_101500_seed.txt",
        "20261321_101500_seed.sql",
        "20261121_251500_seed.sql",
        "2026112 _101500_seed.sql",
        "20261121_101500_se'ed.sql",
        "20261121_101500_ѕeed.sql",
    ] {
        assert!(
            problem(name, "-- +goose Up\n").contains("is named"),
            "{name}"
        );
    }
    let long = format!("20261121_101500_{}.sql", "a".repeat(200));
    assert!(problem(&long, "-- +goose Up\n").contains("is named"));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        ("select 1;", "line 1: a statement stands before"),
        ("-- nothing\n", "-- +goose Up is missing"),
        ("-- +goose Up\n-- +goose Up\n", "line 2: Up comes once"),
        ("-- +goose Down\n", "line 1: Up comes once"),
        (
            "-- +goose Up\n-- +goose StatementBegin\n-- +goose Down\n",
            "line 3: Up comes once",
        ),
        (
            "-- +goose Up\n-- +goose StatementBegin\nselect 1;\n",
            "StatementBegin has no StatementEnd",
        ),
        (
            "-- +goose Up\n-- +goose StatementEnd\n",
            "line 2: StatementBegin and StatementEnd",
        ),
        (
            "-- +goose ENVSUB ON\n-- +goose Up\n",
            "line 1: annotation \"ENVSUB ON\"",
        ),
        (
            "-- +septem per-tenant\n-- +septem schema\n-- +goose Up\n",
            "line 2: annotation",
        ),
        (
            "-- +goose Up\n-- +septem per-tenant\n",
            "line 2: annotation",
        ),
        (
            "-- +septem everywhere\n-- +goose Up\n",
            "line 1: annotation",
        ),
        ("-- +goose Up\nselect '\0';\n", "NUL"),
    ];
    for (text, expected) in cases {
        let problem = problem(NAME, text);
        assert!(problem.contains(expected), "{text:?}: {problem}");
    }
    let long = format!("-- +goose Up\n{}", " ".repeat(FILE_BYTES_MAX));
    assert!(problem(NAME, &long).contains("256 KiB"));
}

#[test]
fn without_a_transaction_there_is_one_concurrent_index() {
    let up = |sql: &str| {
        parse(
            NAME,
            &format!("-- +goose NO TRANSACTION\n-- +goose Up\n{sql}"),
        )
    };
    let name = |sql: &str| up(sql).unwrap().index.unwrap().as_str().to_owned();
    assert_eq!(
        name("create unique index concurrently By_Day on log (day) where day is not null;"),
        "by_day"
    );
    assert_eq!(
        name("/* x */ CREATE INDEX CONCURRENTLY IF NOT EXISTS \"By Day\" ON log USING gin (tags)"),
        "By Day"
    );
    for sql in [
        "",
        "create index by_day on log (day);",
        "create index concurrently on log (day);",
        "create index concurrently a on log (day); drop table log;",
        "vacuum;",
        "alter system set x = 1;",
        "create index concurrently (",
    ] {
        assert!(up(sql).is_err(), "{sql}");
    }
    let text = "-- +goose NO TRANSACTION\n-- +septem per-tenant\n-- +goose Up\ncreate index concurrently a on b (c);";
    assert!(problem(NAME, text).contains("in a transaction"));
}

#[test]
fn any_text_is_read_or_refused() {
    let mut text = String::from("-- +goose Up\n");
    for piece in [
        "-- +goose",
        "-- + ",
        "--+goose Down",
        "\u{0}",
        "ü",
        "$$",
        "'",
    ] {
        text.push_str(piece);
        text.push('\n');
        let _ = parse(NAME, &text);
        let _ = parse(&text, &text);
    }
    for end in 0..20 {
        let _ = parse(NAME.get(..end).unwrap_or(NAME), "");
        let _ = parse(&"ü".repeat(end), "");
    }
}
