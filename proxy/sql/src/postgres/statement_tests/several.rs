//! Writes of several rows that are there, and the way back from a deletion.

use super::*;
use crate::postgres::{
    Filtered,
    delete::{Cascade, Deletion, Restoration},
    update::{Changes, FilteredChange},
};

fn with_json() -> ModuleModel {
    let mut document = serde_json::to_value(deals()).unwrap();
    let fields = document["fields"].as_array_mut().unwrap();
    fields.push(serde_json::json!({"name": "extra", "type": "json"}));
    serde_json::from_value(document).unwrap()
}

#[test]
fn writes_by_filter() {
    let model = with_json();
    let id = [column("id").into()];
    let filter = condition("title", Test::Compare(Comparison::Eq, "a".into()));
    let rows = Filtered {
        tenant: tenant(),
        model: model.name(),
        filter: &filter,
        most: 1000,
    };
    let fields = model.fields();
    let values = [
        (&fields[1], Some("1.5".to_owned())),
        (&fields[3], None),
        (&fields[5], Some(PARENT.into())),
        (&fields[7], Some("{\"o\":[]}".into())),
    ];
    let change = |json| FilteredChange {
        rows: &rows,
        user: "ada",
        values: &values,
        json,
    };
    let contacts = name_of("contacts");
    let deal_id = serde_json::json!({"name": "deal_id", "column": "deal_id__2", "type": "uuid"});
    let deal_id = serde_json::from_value(deal_id).unwrap();
    let referrers = [Referrer {
        model: &contacts,
        field: &deal_id,
    }];
    let gone = format!("{{{ID},{PARENT}}}");
    assert_eq!(delete::referrers_of(&tenant(), &gone, &[]), None);
    assert_statements!(show([
        ("lock", rows.lock(&[PARENT.to_owned()])),
        (
            "update",
            update::update_filtered(&model, &change(JsonChange::Replace), &id)
        ),
        (
            "merge, and count",
            update::update_filtered_count(&model, &change(JsonChange::Merge))
        ),
        ("delete", delete::delete_filtered(&rows, "ada", &id)),
        (
            "delete, and count",
            delete::delete_filtered_ids(&rows, "ada")
        ),
        (
            "who refers",
            delete::referrers_of(&tenant(), &gone, &referrers).unwrap()
        ),
    ]));
}

#[test]
fn writes_by_id_and_restores() {
    let model = with_json();
    let id = [column("id").into()];
    let ids = [ID, PARENT];
    let sent = |value: &str| Some(Some(value.to_owned()));
    let rows: [Vec<Option<Option<String>>>; 2] = [
        vec![
            None,
            sent("1.5"),
            None,
            Some(None),
            None,
            None,
            sent(PARENT),
            None,
        ],
        vec![None, None, None, None, None, None, None, sent("{\"v\":1}")],
    ];
    let values: Vec<_> = rows.iter().map(Vec::as_slice).collect();
    let versions = [Some("3".to_owned()), None];
    let changes = |json| Changes {
        tenant: tenant(),
        user: "ada",
        ids: &ids,
        versions: &versions,
        values: &values,
        json,
    };
    let restoration = Restoration {
        tenant: tenant(),
        user: "ada",
        id: ID,
        versions: Some(&[2]),
    };
    let fields = model.fields();
    let references = [&fields[5], &fields[6]];
    assert_eq!(
        delete::lock_parent_of(&tenant(), model.name(), ID, &fields[0]),
        None
    );
    assert_statements!(show([
        ("lock", update::lock_rows(&tenant(), &model, &ids)),
        (
            "update",
            update::update_many(&model, &changes(JsonChange::Replace), &id)
        ),
        (
            "merge",
            update::update_many(&model, &changes(JsonChange::Merge), &id)
        ),
        ("get", update::get_many(&tenant(), &model, &ids, &id)),
        (
            "lock a deleted row",
            delete::lock_deleted(&tenant(), model.name(), ID, &references)
        ),
        (
            "lock what it refers to",
            delete::lock_parent_of(&tenant(), model.name(), ID, &fields[5]).unwrap()
        ),
        (
            "restore",
            delete::restore(&model, &alone(&model), &restoration, &id)
        ),
    ]));
}

fn alone(model: &ModuleModel) -> Cascade<'_> {
    Cascade::of(model, |_| std::iter::empty())
}

#[test]
fn what_a_deletion_takes_along_and_clears() {
    let field = |name: &str, target: &str, on_delete: &str| {
        serde_json::json!({"name": name, "column": format!("{name}__2"), "type": "uuid",
            "references": {"module": "crm", "model": target, "onDelete": on_delete}})
    };
    let model = |name: &str, fields: &[serde_json::Value]| -> ModuleModel {
        serde_json::from_value(serde_json::json!({
            "module": "crm", "model": name, "autoApi": true, "analytics": true, "maxPageSize": 10, "fields": fields,
        }))
        .unwrap()
    };
    let models = [
        model("offices", &[field("head_id", "offices", "SetNull")]),
        model(
            "desks",
            &[
                field("office_id", "offices", "Cascade"),
                field("next_id", "desks", "Cascade"),
            ],
        ),
        model(
            "badges",
            &[
                field("desk_id", "desks", "Restrict"),
                field("spare_id", "desks", "SetNull"),
            ],
        ),
    ];
    let cascade = Cascade::of(&models[0], |name| {
        models.iter().flat_map(move |model| {
            let fields = model.fields().iter();
            let refers = fields
                .filter(move |f| f.references.as_ref().is_some_and(|r| r.model == name.model));
            refers.map(move |field| (model, field))
        })
    });
    let deletion = Deletion {
        tenant: tenant(),
        user: "ada",
        model: models[0].name(),
        id: ID,
        delete_id: PARENT,
        versions: Some(&[2]),
        referrers: &[],
    };
    let restoration = Restoration {
        tenant: tenant(),
        user: "ada",
        id: ID,
        versions: None,
    };
    let id = [column("id").into()];
    let ids = format!("{{{ID}}}");
    let mut all = vec![
        ("what blocks", cascade.blocked(&deletion).unwrap()),
        ("carry out", cascade.carry_out(&deletion)),
        ("guard", cascade.guard(&deletion).unwrap()),
        ("unmet", cascade.unmet(&restoration)),
        ("carry back", cascade.carry_back(&restoration)),
        (
            "restore",
            delete::restore(&models[0], &cascade, &restoration, &id),
        ),
        (
            "what blocks several",
            cascade.blocked_of(&tenant(), &ids).unwrap(),
        ),
    ];
    let several = cascade.carry_out_of(&tenant(), "ada", &ids);
    all.extend(several.into_iter().map(|s| ("carry out several", s)));
    let locks = cascade.lock_needs(&restoration);
    all.extend(locks.into_iter().map(|s| ("lock a need", s)));
    assert_statements!(show(all));
}
