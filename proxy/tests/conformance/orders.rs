//! Orders: rows come as PostgreSQL sorts them.

use super::{kinds::KINDS, lab::Lab};

/// Model, `order`, and the same in SQL. `id` behind it goes the way of the key before.
#[rustfmt::skip]
const ORDERS: &[(&str, &str, &str)] = &[
    ("flights", "", "id"),
    ("flights", "id.desc", "id desc"),
    ("flights", "delay", "delay, id"),
    ("flights", "delay.desc", "delay desc, id desc"),
    ("flights", "delay.nullsfirst", "delay nulls first, id"),
    ("flights", "delay.desc.nullslast", "delay desc nulls last, id desc"),
    ("flights", "delay.desc.nullslast,id", "delay desc nulls last, id"),
    ("flights", "status.desc,distance.nullsfirst", "status desc, distance nulls first, id"),
    ("flights", "status,distance.desc.nullslast,delay", "status, distance desc nulls last, delay, id"),
    ("flights", "previous_id.desc,delay.nullsfirst,status.desc", "previous_id desc, delay nulls first, status desc, id desc"),
    ("flights", "departs_at.desc,number", "departs_at desc, number, id"),
    ("flights", "created_at,version.desc,updated_by", "created_at, version desc, updated_by, id"),
];

#[tokio::test]
async fn rows_come_in_the_order_of_sql() {
    let lab = Lab::new().await;
    for (model, order, sql) in ORDERS {
        let query = if order.is_empty() {
            String::new()
        } else {
            format!("order={order}")
        };
        lab.expect_ids(model, &query, "true", sql).await;
    }
    for kind in KINDS.iter().filter(|k| k.has_order()) {
        for (words, sql) in [
            ("", ""),
            (".desc", " desc"),
            (".asc.nullsfirst", " nulls first"),
            (".desc.nullslast", " desc nulls last"),
        ] {
            let field = kind.field;
            let query = format!("order={field}{words},id.desc");
            lab.expect_ids("samples", &query, "true", &format!("{field}{sql}, id desc"))
                .await;
        }
    }
    lab.finish().await;
}

#[tokio::test]
async fn json_and_arrays_are_no_order() {
    let lab = Lab::new().await;
    for kind in KINDS.iter().filter(|k| !k.has_order()) {
        lab.refused(
            &format!("samples?order={}", kind.field),
            &[&format!("{} INVALID_OPERATOR", kind.field)],
        )
        .await;
    }
    lab.finish().await;
}
