use std::{
    collections::HashSet,
    num::{NonZeroU32, NonZeroUsize},
};

use super::*;
use crate::{
    access::{caller::ANONYMOUS, key::KeyHash, pattern::Pattern},
    call::{App, Rate, rate::Exceeded},
};

fn caller(name: &str) -> Caller {
    Caller {
        name: name.into(),
        read_tokens: false,
        ..Caller::anonymous()
    }
}

/// One app, shop, with so many operations in flight.
fn apps(max_in_flight: usize) -> Apps {
    Apps::new(vec![App::idle("shop", max_in_flight)], "shop").unwrap()
}

#[test]
fn a_caller_has_several_keys_and_certificates() {
    let mut orders = caller("orders");
    orders.keys = [&b"old"[..], b"new"]
        .map(|key| KeyHash::of(key).into())
        .into();
    orders.certificates = vec!["orders.example".into(), "spiffe://example/orders".into()];
    let mut billing = caller("billing");
    billing.certificates = vec!["billing.example".into()];
    let callers = Callers::new(vec![orders, billing], &apps(2));

    let name = |caller: Option<&Arc<Caller>>| caller.map(|caller| caller.name.to_string());
    let orders = Some("orders".to_owned());
    let with_key = |key: &[u8]| name(callers.keys().caller_of(&KeyHash::of(key)).ok());
    assert_eq!(with_key(b"old"), orders);
    assert_eq!(with_key(b"new"), orders);
    assert_eq!(with_key(b"other"), None);
    assert_eq!(with_key(b""), None);

    let by_names = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        name(callers.with_certificate(&names))
    };
    assert_eq!(by_names(&["other", "orders.example"]), orders);
    assert_eq!(
        by_names(&["orders.example", "spiffe://example/orders"]),
        orders
    );
    assert_eq!(by_names(&["orders.example", "billing.example"]), None);
    assert_eq!(by_names(&["Orders.example"]), None);
    assert_eq!(by_names(&[]), None);
}

#[test]
fn what_is_not_limited_is_allowed_and_what_is_limited_needs_a_match() {
    let mut orders = caller("orders");
    assert!(orders.may_call("any") && orders.may_use("any"));
    assert!(orders.may_send_from("any") && orders.may_grant(None));
    assert!(!orders.may_read_token(None));
    orders.read_tokens = true;
    assert!(orders.may_read_token(None));
    orders.may_call = Some(HashSet::from(["mesibo.v1.UserService/ListUsers"]));
    orders.apps = Some(HashSet::from(["shop".into()]));
    orders.from_addresses = Some(vec![Pattern::new("shop"), Pattern::new("shop-*")]);
    orders.app_ids = Some(HashSet::from(["demo".to_owned()]));
    assert!(orders.may_call("mesibo.v1.UserService/ListUsers"));
    assert!(!orders.may_call("mesibo.v1.UserService/EditUser"));
    assert!(orders.may_use("shop") && !orders.may_use("default"));
    assert!(orders.may_send_from("shop-1") && !orders.may_send_from("alice"));
    assert!(orders.may_grant(Some("demo")));
    assert!(!orders.may_grant(Some("other")) && !orders.may_grant(None));
    assert!(orders.may_read_token(Some("demo")));
    assert!(!orders.may_read_token(Some("other")) && !orders.may_read_token(None));
}

#[test]
fn what_stays_the_same_of_a_caller_keeps_its_state() {
    let orders = |burst| {
        let mut orders = caller("orders");
        orders.rate = Rate::new(0.001, burst).map(Arc::new);
        orders.max_in_flight = NonZeroUsize::new(2);
        orders
    };
    let apps = apps(4);
    let rate = |callers: &Callers| Arc::clone(callers.all[0].rate.as_ref().unwrap());
    let take = |callers: &Callers| rate(callers).take(NonZeroU32::MIN);
    let place = |callers: &Callers| callers.share("orders", "shop").unwrap().take();

    let first = Callers::new(vec![orders(NonZeroU32::MIN)], &apps);
    take(&first).unwrap();
    let _held = place(&first).unwrap();
    let second = Callers::replacing(&first, vec![orders(NonZeroU32::MIN)], &apps);
    let Err(Exceeded::For(wait)) = take(&second) else {
        panic!("the rate began anew");
    };
    assert!((900..=1000).contains(&wait.as_secs()), "{wait:?}");
    let _held = place(&second).unwrap();
    assert!(place(&second).is_none());

    let mut changed = orders(NonZeroU32::new(2).unwrap());
    changed.max_in_flight = NonZeroUsize::new(3);
    let third = Callers::replacing(&second, vec![changed], &apps);
    take(&third).unwrap();
    place(&third).unwrap();
}

#[test]
fn a_share_is_half_of_what_the_app_may_have_in_flight_or_as_the_settings_say() {
    for (of_app, own, expected) in [
        (4, None, Some(2)),
        (5, None, Some(2)),
        (2, None, Some(1)),
        (4, Some(3), Some(3)),
        (4, Some(1), Some(1)),
        // There is no room for more anyway.
        (1, None, None),
        (4, Some(4), None),
        (4, Some(9), None),
    ] {
        let mut orders = caller("orders");
        orders.max_in_flight = own.and_then(NonZeroUsize::new);
        let callers = Callers::new(vec![orders], &apps(of_app));
        let share = callers.share("orders", "shop").map(Share::limit);
        assert_eq!(share, expected, "{own:?} of {of_app}");
    }
    let nobody = Callers::new(Vec::new(), &apps(4));
    assert!(nobody.share(ANONYMOUS, "shop").is_none());
}
