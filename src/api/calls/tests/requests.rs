//! Arbitrary requests.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_request_panics_and_a_refused_one_changes_nothing(
        method in any_method(), target in any_target(), body in any_body(), header in "\\PC{0,12}"
    ) {
        let mut world = World::new();
        world.start("{\"handler_id\":\"h\",\"context\":{\"version\":1}}");
        let headers = [(Field::Accept, &*header), (Field::LastEventId, &header), (Field::Origin, &header)];
        match world.send(method, &target, &body, &headers) {
            Reply::Now(response) => {
                let expected = [200, 202, 204, 400, 404, 405, 409, 500];
                prop_assert!(expected.contains(&response.status), "{}", response.status);
                prop_assert!(response.status != 500 || target.contains("run"));
                prop_assert_eq!(world.scheduler.next_handler(world.scheduler.find("h")), None);
                prop_assert!(world.scheduler.view(world.key("h")).is_some_and(|view| view.outcome.is_none()));
            }
            Reply::Later(Awaited::Commit(_, response)) => prop_assert_eq!(response.status, 200),
            Reply::Later(Awaited::End(key)) => prop_assert!(world.scheduler.view(key).is_some()),
            Reply::Follow(follow) => prop_assert_eq!(Some(follow.run.handler), world.scheduler.find("h")),
            Reply::List(_) => {}
            Reply::Later(awaited) => prop_assert!(false, "nothing is unsettled or elsewhere: {awaited:?}"),
            Reply::Parse(form) => prop_assert!(false, "no body is large: {form:?}"),
        }
    }
}

fn any_method() -> impl Strategy<Value = Method> {
    proptest::sample::select(vec![Method::Get, Method::Head, Method::Post, Method::Options, Method::Other])
}

fn any_target() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC*",
        "/(workflows|handlers|events|results)(/(w|h|%68|%zz|x))?(/(run|run-nowait|cancel|schema))?(\\?[a-z_]{0,3}=.?)?",
        "/events/h\\?(acquire_timeout|after_sequence|sse)=[-0-9a-z.%+]{0,6}",
        "/handlers\\?(status|limit|after|workflow_name)=[-0-9a-z.%+]{0,6}",
        "/handlers/h/cancel(\\?purge=(true|false))?",
    ]
}

fn any_body() -> impl Strategy<Value = String> {
    let event = r#"\{"type":"(StartEvent|Answer|Token|X)","(value|data)":\{("text":"a")?\}\}"#;
    let value = format!(r#"(""|null|\{{\}}|\[1\]|5|"h"|"x y"|{event}|\{{"_data":\{{\}}\}})"#);
    let member = format!(r#""(start_event|context|handler_id|kwargs|event|step|x)":{value}"#);
    let object = format!(r"\{{({member}(,{member}){{0,3}})?\}}");
    let object = proptest::string::string_regex(&object).expect("a regular expression");
    prop_oneof![4 => object, 1 => ".*", 1 => Just(String::new())]
}

#[test]
fn a_run_is_refused_by_its_head_without_its_workflow_or_memory() {
    let scheduler = World::new().scheduler;
    let status = |path, room| {
        let (method, fields) = (Method::Post, &[None; 7]);
        let request = Request { method, http10: false, path, query: None, cross_site: false, fields, body: b"" };
        call_head(&request, &scheduler, room).map(|response| response.status)
    };
    for (path, with_room, without) in [
        ("/workflows/w/run", None, Some(503)),
        ("/workflows/w/run-nowait", None, Some(503)),
        ("/workflows/v/run", Some(404), Some(404)),
        ("/nope", Some(404), Some(404)),
        ("/health", Some(405), Some(405)),
        // The head alone does not show whether the run has ended.
        ("/events/h1", None, None),
        ("/handlers/h1/cancel", None, None),
    ] {
        assert_eq!((status(path, Room::Runs), status(path, Room::Events)), (with_room, without), "{path}");
    }
}
