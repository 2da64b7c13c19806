//! Handlers: what they show, the list and its filters, results, cancel and purge.

use super::*;

#[test]
fn handler_has_nine_keys_in_order() {
    let program = Program::start();
    let reply = run(&program, "echo", &json!({}));
    let text = reply.text();
    let keys: Vec<&str> = text
        .trim_matches(['{', '}'])
        .split(",\"")
        .map(|member| member.trim_start_matches('"').split('"').next().expect("a key"))
        .collect();
    assert_eq!(
        keys,
        [
            "handler_id",
            "workflow_name",
            "run_id",
            "error",
            "result",
            "status",
            "started_at",
            "updated_at",
            "completed_at",
        ]
    );
    let handler = reply.json();
    assert_eq!(handler["updated_at"], handler["completed_at"]);
    assert!(handler["started_at"].as_str() <= handler["completed_at"].as_str());
}

#[test]
fn list_is_filtered_and_paged() {
    let program = Program::start();
    let echo = program.finish("echo", json!({}));
    let error = program.finish("error", json!({}));
    let sleepy = program.begin("sleepy", json!({}));
    let cancelled = program.begin("sleepy", json!({}));
    assert_eq!(cancel(&program, &cancelled, "").status, 200);
    let after_echo = format!("?after={echo}");
    let after_echo_one = format!("?after={echo}&limit=1");
    let after_last = format!("?after={cancelled}");
    for (query, expected) in [
        ("", vec![&echo, &error, &sleepy, &cancelled]),
        ("?status=running", vec![&sleepy]),
        ("?status=completed&status=failed", vec![&echo, &error]),
        ("?status=cancelled", vec![&cancelled]),
        ("?workflow_name=sleepy", vec![&sleepy, &cancelled]),
        ("?workflow_name=sleepy&workflow_name=echo&status=completed", vec![&echo]),
        ("?workflow_name=unknown", vec![]),
        ("?limit=2", vec![&echo, &error]),
        ("?limit=100&unknown=1", vec![&echo, &error, &sleepy, &cancelled]),
        (&after_echo, vec![&error, &sleepy, &cancelled]),
        (&after_echo_one, vec![&error]),
        (&after_last, vec![]),
        ("?workflow_name=%73leepy&status=r%75nning", vec![&sleepy]),
    ] {
        assert_eq!(program.listed(query).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    for query in ["?limit=x", "?limit=-1", "?limit=1.5", "?after=unknown", "?status=nope", "?limit="] {
        assert_eq!(program.get(&format!("/handlers{query}")).status, 400, "{query}");
    }
}

#[test]
fn half_closed_client_gets_the_whole_of_a_long_list() {
    let program = Program::start();
    for _ in 0..500 {
        program.begin("sleepy", json!({}));
    }
    let mut connection = program.connect();
    connection.send("GET", "/handlers", &[], None);
    connection.half_close();
    let reply = connection.head();
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"), "it is too long to be written at once");
    let list: Value = serde_json::from_slice(&connection.rest()).expect("a whole list");
    assert_eq!(list["handlers"].as_array().map(Vec::len), Some(500));
}

#[test]
fn result_depends_on_the_status() {
    let program = Program::start();
    let running = program.begin("sleepy", json!({}));
    let completed = program.finish("echo", json!({}));
    let failed = program.finish("error", json!({}));
    let cancelled = program.begin("sleepy", json!({}));
    cancel(&program, &cancelled, "");
    for (handler, result, single) in
        [(&*running, 202, 202), (&completed, 200, 200), (&failed, 500, 500), (&cancelled, 404, 500), ("nope", 404, 404)]
    {
        assert_eq!(program.get(&format!("/results/{handler}")).status, result, "{handler}");
        let reply = program.get(&format!("/handlers/{handler}"));
        assert_eq!(reply.status, single, "{handler}");
        if handler == "nope" {
            refused(&reply, 404, "Handler not found");
        } else {
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.json()["handler_id"], *handler);
        }
    }
    let view = program.get(&format!("/handlers/{cancelled}")).json();
    assert_eq!(view["status"], "cancelled");
    assert_eq!((&view["error"], &view["result"]), (&json!(null), &json!(null)));
    assert_eq!(view["completed_at"], view["updated_at"]);
}

#[test]
fn single_handler_has_its_stop_event_as_an_envelope() {
    let program = Program::start();
    let echo = program.finish("echo", json!({}));
    assert_eq!(
        program.get(&format!("/handlers/{echo}")).json()["result"],
        json!({
            "value": {"result": "processed: default"},
            "qualified_name": "workflows.events.StopEvent",
            "type": "StopEvent",
            "types": null,
        })
    );
    let approval = program.begin("approval", json!({"subject": "budget"}));
    let given = json!({"event": {"type": "ApprovalGiven", "value": {"approved": false, "by": "me"}}});
    assert_eq!(program.post(&format!("/events/{approval}"), &given).status, 200);
    follow(&program, &approval, "").rest();
    let value = json!({"subject": "budget", "approved": false, "by": "me"});
    assert_eq!(
        program.get(&format!("/handlers/{approval}")).json()["result"],
        json!({
            "value": value,
            "qualified_name": "conformance.ApprovalResult",
            "type": "ApprovalResult",
            "types": ["StopEvent"],
        })
    );
    assert_eq!(program.get(&format!("/results/{approval}")).json()["result"], value);
}

#[test]
fn cancel_ends_a_running_handler_only() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    let reply = cancel(&program, &handler, "?purge=1");
    assert_eq!((reply.status, reply.text()), (200, r#"{"status":"cancelled"}"#), "only `true` is true");
    assert_eq!(types(&[reader.event().expect("the end")]), ["StopEvent"]);
    assert_eq!(reader.event(), None);
    refused(&cancel(&program, &handler, ""), 404, "Handler not found: it has already been cancelled");
    refused(&cancel(&program, "nope", ""), 404, "Handler not found");
    refused(&program.get(&format!("/results/{handler}")), 404, "Handler not found");
    let event = json!({"event": {"type": "ExternalEvent", "value": {"response": "late"}}});
    refused(&program.post(&format!("/events/{handler}"), &event), 404, "Handler not found");
    let completed = program.finish("echo", json!({}));
    refused(&cancel(&program, &completed, ""), 404, "Handler not found: it has already completed");
    let failed = program.finish("error", json!({}));
    refused(&cancel(&program, &failed, ""), 404, "Handler not found: it has already failed");
    assert_eq!(program.get(&format!("/results/{completed}")).status, 200, "and nothing changes");
}

#[test]
fn purge_takes_a_handler_in_any_state_everywhere_away() {
    let program = Program::start();
    let running = program.begin("sleepy", json!({}));
    let completed = program.finish("echo", json!({}));
    let failed = program.finish("error", json!({}));
    let cancelled = program.begin("sleepy", json!({}));
    cancel(&program, &cancelled, "");
    for handler in [&running, &completed, &failed, &cancelled] {
        let reply = cancel(&program, handler, "?purge=TRUE");
        assert_eq!((reply.status, reply.text()), (200, r#"{"status":"deleted"}"#));
        for path in [format!("/results/{handler}"), format!("/events/{handler}"), format!("/handlers/{handler}")] {
            refused(&program.get(&path), 404, "Handler not found");
        }
        refused(&cancel(&program, handler, "?purge=true"), 404, "Handler not found");
    }
    assert!(program.listed("").is_empty());
}
