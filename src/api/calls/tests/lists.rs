//! Lists of handlers.

use super::*;

/// Writes a whole list in parts of about `bytes_wanted` bytes.
fn list(world: &mut World, query: &str, bytes_wanted: usize) -> Vec<String> {
    let reply = world.send(Method::Get, &format!("/handlers{query}"), "", &[]);
    let Reply::List(mut list) = reply else { panic!("{reply:?}") };
    let mut written = Vec::new();
    loop {
        let mut part = Vec::new();
        let progress = list_some(&world.scheduler, &mut list, &mut part, bytes_wanted);
        assert!(part.len() < bytes_wanted + 1_000);
        written.extend(part);
        if progress == ListProgress::Complete {
            break;
        }
    }
    let value: Value = serde_json::from_slice(&written).unwrap();
    value["handlers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|handler| handler["handler_id"].as_str().unwrap()[..1].to_owned())
        .collect()
}

#[test]
fn handlers_are_listed_in_order_of_creation_filtered_and_in_pages() {
    let mut world = World::new();
    assert_eq!(list(&mut world, "", 1), [""; 0]);
    world.start("");
    world.complete("1");
    let second = world.start("");
    world.fail("no luck");
    let cancelled = world.start("");
    world.check_post(&format!("/handlers/{cancelled}/cancel"), "", 200, "");
    let last = world.start("");
    let (after, after_one, after_last) =
        (format!("?after={second}"), format!("?after={second}&limit=1"), format!("?after={last}"));
    for bytes_wanted in [1, 100, 400, 100_000] {
        for (query, expected) in [
            ("", "BtTY"),
            ("?limit=2", "Bt"),
            ("?limit=9", "BtTY"),
            (&*after, "TY"),
            (&*after_one, "T"),
            (&*after_last, ""),
            ("?status=failed", "t"),
            ("?status=running&status=completed", "BY"),
            ("?status=running&status=completed&limit=1", "B"),
            ("?workflow_name=w&status=cancelled", "T"),
            ("?workflow_name=x", ""),
            ("?workflow_name=x&workflow_name=w", "BtTY"),
        ] {
            assert_eq!(list(&mut world, query, bytes_wanted).concat(), expected, "{query} {bytes_wanted}");
        }
    }
    for query in ["limit=0", "after=nobody", "status=done"] {
        assert_eq!(world.get(&format!("/handlers?{query}")).0, 400);
    }
    let reply = world.send(Method::Head, "/handlers", "", &[]);
    assert!(matches!(&reply, Reply::List(list) if list.head_only), "{reply:?}");
}
