use crds::{Reason, Tenant};
use serde_json::{Value, json};

use super::{
    Observed, ObservedPolicies, apply::check_conflicts, observe::ObservedTenant, validate,
};

const ID: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

fn resource(change: Value) -> Tenant {
    let mut spec = json!({"tenantId": ID, "slug": "acme", "modules": ["crm"], "admins": ["ada"]});
    for (key, value) in change.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "data.septemcore.com/v1alpha1", "kind": "Tenant",
        "metadata": {"name": "acme", "uid": "u1"}, "spec": spec,
    }))
    .unwrap()
}

#[test]
fn what_cannot_be_accepted_is_refused_by_its_path() {
    let cases = [
        (
            json!({"limits": {"burst": 1}}),
            Reason::NotYetSupported,
            "not yet supported: spec.limits",
        ),
        (
            json!({"gracePeriod": "99999999999999999999h"}),
            Reason::InvalidModel,
            "spec.gracePeriod: ",
        ),
        (
            json!({"tenantId": "00000000-0000-0000-0000-000000000000"}),
            Reason::InvalidModel,
            "spec.tenantId: ",
        ),
        (
            json!({"displayName": "a\0b"}),
            Reason::InvalidModel,
            "spec.displayName: ",
        ),
        (
            json!({"admins": ["ada", "\0"]}),
            Reason::InvalidModel,
            "spec.admins[1]: ",
        ),
        (
            json!({"modules": ["crm", "a__b"]}),
            Reason::InvalidModel,
            "spec.modules[1]: ",
        ),
    ];
    for (change, reason, message) in cases {
        let refusal = validate(&resource(change)).unwrap_err();
        assert_eq!(refusal.reason, reason, "{message}");
        assert!(refusal.message.starts_with(message), "{}", refusal.message);
    }
    assert_eq!(validate(&resource(json!({}))).unwrap().display_name, "acme");
}

#[test]
fn a_registry_that_says_the_same_is_left_alone() {
    let desired = validate(&resource(json!({}))).unwrap();
    let same = || Observed {
        erased_by: None,
        row: Some(ObservedTenant {
            slug: "acme".into(),
            display_name: "acme".into(),
            state: "Active".into(),
            resource: "acme".into(),
            resource_uid: "u1".into(),
            served: true,
            revision: 1,
        }),
        slug_taken_by: None,
        modules: desired.modules.clone(),
        modules_served: desired.modules.clone(),
        has_admin_role: true,
        admins: desired.admins.clone(),
    };
    assert!(same().matches(&desired));
    let changes: [fn(&mut Observed); 6] = [
        |o| o.row = None,
        |o| o.row.as_mut().unwrap().state = "Suspended".into(),
        |o| o.row.as_mut().unwrap().served = false,
        |o| o.has_admin_role = false,
        |o| {
            o.modules.insert("hr".into());
        },
        |o| o.admins.clear(),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut observed = same();
        change(&mut observed);
        assert!(!observed.matches(&desired), "{i}");
    }

    let mut others = same();
    others.row.as_mut().unwrap().resource_uid = "u2".into();
    assert_eq!(
        check_conflicts(&desired, &others, false)
            .unwrap_err()
            .reason,
        Reason::NameConflict
    );
    assert!(
        check_conflicts(&desired, &others, true).is_ok(),
        "its resource is gone"
    );
    let taken = Observed {
        slug_taken_by: Some("other".into()),
        ..Observed::default()
    };
    assert!(
        check_conflicts(&desired, &taken, true)
            .unwrap_err()
            .message
            .starts_with("spec.slug")
    );
}

#[test]
fn a_tenant_is_open_only_behind_its_own_policy() {
    let tenant = ID.parse().unwrap();
    let policies = |predicate: &str| ObservedPolicies {
        predicate: Some(predicate.into()),
        reads: true,
        open: true,
    };
    // However the server prints it.
    for same in [
        format!("tenant_id = '{ID}'"),
        format!("(`tenant_id` = '{ID}')"),
    ] {
        assert!(policies(&same).is_open_for(&tenant), "{same}");
    }
    for other in ["1", "tenant_id = '0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02'"] {
        assert!(!policies(other).is_open_for(&tenant), "{other}");
    }
    assert!(
        !ObservedPolicies {
            open: false,
            ..policies(&format!("tenant_id = '{ID}'"))
        }
        .is_open_for(&tenant)
    );
    assert!(!ObservedPolicies::default().is_open_for(&tenant));
}
