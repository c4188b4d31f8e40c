//! What somebody does with the page.

use serde_json::json;

use super::session::{Page, Theme, Width};

async fn open() -> Option<Page> {
    Page::open(Theme::Light, Width::Wide).await
}

#[tokio::test]
async fn what_happens_over_http_appears_without_a_reload() {
    let Some(page) = open().await else { return };
    page.run("window.notReloaded = true").await;
    page.shows("#messages-title", "0").await;
    page.sandbox.add_users(&["alice", "bob"]).await;
    page.shows("#users", "bob").await;
    page.sandbox
        .ok("op=message&from=alice&to=bob&msg=Hello+Bob")
        .await;
    page.shows("#messages", "Hello Bob").await;
    page.sandbox
        .error("op=message&from=nobody&to=bob&msg=hi")
        .await;
    page.shows("#requests", "NOUSER").await;
    page.sandbox.ok("op=groupadd&name=Team&m=bob").await;
    page.shows("#groups", "Team").await;
    page.sandbox.delete("/sandbox/messages").await;
    page.hides("#messages", "Hello Bob").await;
    assert_eq!(page.run("return window.notReloaded").await, true);
    page.close().await;
}

#[tokio::test]
async fn a_newcomer_gets_a_first_message_by_one_button_and_a_command_that_works() {
    let Some(page) = open().await else { return };
    page.shows("#welcome", "Nothing here yet").await;
    let command = page.find("#curl").await.text().await.unwrap();
    let url = page.sandbox.url("/api.php");
    assert!(
        command.starts_with(&format!("curl {url} -d token=sandbox ")),
        "{command}"
    );
    page.click("#example").await;
    page.shows("#messages", "this is the first message").await;
    page.until("return document.querySelector('#welcome').hidden")
        .await;
    page.close().await;
}

#[tokio::test]
async fn users_and_messages_are_added_and_deleted() {
    let Some(page) = open().await else { return };
    for address in ["alice", "bob"] {
        page.press("header", "Add a user").await;
        page.fill("user-dialog", "addr", address).await;
        page.submit("user-dialog", "Add").await;
        page.shows("#users", address).await;
    }
    page.press("header", "Send a message").await;
    page.fill("message-dialog", "from", "alice").await;
    page.fill("message-dialog", "to", "bob").await;
    page.fill("message-dialog", "msg", "One line").await;
    page.submit("message-dialog", "Send").await;
    page.shows("#messages", "One line").await;
    page.shows("#said", "is sent").await;

    // A refusal is shown where it can be mended.
    page.press("header", "Send a message").await;
    page.fill("message-dialog", "to", "nobody").await;
    page.press("#message-dialog", "Send").await;
    page.shows("#message-dialog .problem", "Refused: NOUSER.")
        .await;
    page.press("#message-dialog", "Cancel").await;

    let group = page.sandbox.ok("op=groupadd&name=Team&m=alice").await;
    page.shows("#groups", "Team").await;
    page.press("header", "Send a message").await;
    page.fill("message-dialog", "to", &group["group"]["gid"].to_string())
        .await;
    page.submit("message-dialog", "Send").await;
    page.shows("#messages", "to the group Team").await;

    page.click("[aria-label='Delete message 1387628']").await;
    page.hides("#messages", "to bob").await;
    page.click("[aria-label='Delete group Team']").await;
    page.shows("#groups", "No groups yet").await;
    page.click("[aria-label='Delete user bob']").await;
    page.hides("#users", "bob").await;
    assert_eq!(page.sandbox.get("/sandbox/users").await["total"], 1);
    page.close().await;
}

#[tokio::test]
async fn a_fault_that_is_set_hits_is_shown_and_is_deleted() {
    let Some(page) = open().await else { return };
    page.sandbox.add_users(&["alice", "bob"]).await;
    page.press("header", "Set a fault").await;
    page.fill("fault-dialog", "error", "NOCREDIT").await;
    page.fill("fault-dialog", "op", "message").await;
    page.fill("fault-dialog", "times", "1").await;
    page.submit("fault-dialog", "Set the fault").await;
    page.shows("#faults", "error NOCREDIT").await;
    page.shows("#faults", "0 hits").await;
    let send = "op=message&from=alice&to=bob&msg=hi";
    assert_eq!(page.sandbox.error(send).await, "NOCREDIT");
    page.shows("#faults", "1 hit").await;
    page.shows("#requests li", "NOCREDIT").await;
    page.shows("#requests li .fault", "error NOCREDIT").await;
    page.sandbox.ok(send).await;
    page.click("[aria-label='Delete the fault: error NOCREDIT']")
        .await;
    page.shows("#faults", "Nothing is broken").await;

    // Each kind of effect makes a rule that is taken.
    let effects = "return [...document.querySelector('[name=effect]').options].map((o) => o.value)";
    let effects = page.run(effects).await;
    for effect in effects.as_array().unwrap() {
        page.press("header", "Set a fault").await;
        page.choose("#fault-dialog [name=effect]", effect.as_str().unwrap())
            .await;
        page.submit("fault-dialog", "Set the fault").await;
    }
    let rules = page.sandbox.get("/sandbox/faults").await;
    assert_eq!(
        rules.as_array().map(Vec::len),
        effects.as_array().map(Vec::len)
    );
    page.close().await;
}

#[tokio::test]
async fn the_page_lists_how_each_error_is_brought_about_and_does_it() {
    let Some(page) = open().await else { return };
    page.press("header", "Set a fault").await;
    let recipes = page.sandbox.get("/sandbox/recipes").await;
    let count = recipes.as_array().unwrap().len();
    let rows = "document.querySelector('#recipes').tBodies[0].rows.length";
    page.until(&format!("return {rows} === {count}")).await;
    page.shows("#recipes", "UPSTREAM_UNREACHABLE").await;
    page.click("#recipes [aria-label='Set: the error code QUOTAEXCEEDED']")
        .await;
    page.shows("#faults", "error QUOTAEXCEEDED").await;
    assert_eq!(page.sandbox.error("op=usersget").await, "QUOTAEXCEEDED");
    // The page survives an outage, which closes all its connections.
    page.sandbox
        .post("/sandbox/outage", &json!({ "for": "500ms" }))
        .await;
    page.shows("#live", "not connected").await;
    page.shows("#live", "live").await;
    page.close().await;
}

#[tokio::test]
async fn the_clock_is_moved_frozen_and_put_back() {
    let Some(page) = open().await else { return };
    page.sandbox.add_users(&["alice"]).await;
    page.sandbox
        .ok("op=message&from=alice&to=alice&msg=short&expiry=3000")
        .await;
    page.shows("#messages", "short").await;
    page.click("#clock").await;
    page.submit("clock-dialog", "Move").await;
    page.hides("#messages", "short").await;
    page.until("return document.querySelector('#clock').classList.contains('moved')")
        .await;
    page.click("#clock").await;
    page.submit("clock-dialog", "Freeze").await;
    page.shows("#clock", "frozen").await;
    assert_eq!(page.sandbox.get("/sandbox/clock").await["state"], "frozen");
    page.click("#clock").await;
    page.fill("clock-dialog", "advance", "soon").await;
    page.press("#clock-dialog", "Move").await;
    page.shows("#clock-dialog .problem", "\"soon\" is no duration")
        .await;
    page.submit("clock-dialog", "Let it run").await;
    page.hides("#clock", "frozen").await;
    page.click("#clock").await;
    page.submit("clock-dialog", "Back to the real time").await;
    page.until("return !document.querySelector('#clock').classList.contains('moved')")
        .await;
    page.close().await;
}

#[tokio::test]
async fn a_reset_empties_this_world_and_another_one_is_chosen_by_name() {
    let Some(page) = open().await else { return };
    page.sandbox.add_users(&["alice"]).await;
    page.sandbox
        .ok_in("shop", "op=useradd&addr=bob&appid=demo")
        .await;
    page.until("return document.querySelector('#world').options.length === 2")
        .await;
    page.press("header", "Reset").await;
    page.submit("reset-dialog", "Reset").await;
    page.shows("#users", "No users yet").await;
    page.choose("#world", "shop").await;
    page.shows("#users", "bob").await;
    page.shows("#live", "live").await;
    page.sandbox
        .ok_in("shop", "op=useradd&addr=carol&appid=demo")
        .await;
    page.shows("#users", "carol").await;
    page.load("/?world=shop").await;
    page.shows("#users", "carol").await;
    // Without a name, the world where something happened last is shown.
    page.sandbox
        .ok_in("later", "op=useradd&addr=dave&appid=demo")
        .await;
    page.load("/").await;
    page.shows("#users", "dave").await;
    page.close().await;
}

#[tokio::test]
async fn messages_requests_and_people_lead_to_each_other() {
    let Some(page) = open().await else { return };
    page.sandbox.add_users(&["alice", "bob", "carol"]).await;
    page.sandbox
        .ok("op=message&from=alice&to=bob&msg=for+Bob")
        .await;
    page.sandbox
        .ok("op=message&from=alice&to=carol&msg=for+Carol&sig=none")
        .await;
    page.shows("#messages", "for Carol").await;
    page.click("[data-mid='1387629'] .meta .link").await;
    page.shows("#requests [open]", "Not emulated, and ignored: sig")
        .await;
    page.shows("#requests [open]", "***").await;
    let focused = "return document.activeElement.dataset.id === '5'";
    page.until(focused).await;
    page.press("#requests [open]", "message 1387629").await;
    page.until("return document.activeElement.dataset.mid === '1387629'")
        .await;

    page.press("#users", "bob").await;
    page.shows("#focus", "Only bob").await;
    page.hides("#messages", "for Carol").await;
    page.shows("#messages", "for Bob").await;
    page.until("return document.querySelectorAll('#requests > li').length === 2")
        .await;
    page.press("#focus", "Show everything").await;
    page.shows("#messages", "for Carol").await;
    page.close().await;
}

#[tokio::test]
async fn a_search_narrows_all_lists() {
    let Some(page) = open().await else { return };
    page.sandbox.add_users(&["alice", "bob"]).await;
    page.sandbox
        .ok("op=message&from=alice&to=bob&msg=The+needle")
        .await;
    page.sandbox
        .ok("op=message&from=alice&to=bob&msg=The+hay")
        .await;
    page.shows("#messages", "The hay").await;
    // The slash leads to it.
    let body = page.find("body").await;
    body.send_keys("/").await.unwrap();
    page.until("return document.activeElement.id === 'search'")
        .await;
    page.find("#search")
        .await
        .send_keys("NEEDLE")
        .await
        .unwrap();
    page.hides("#messages", "The hay").await;
    page.shows("#messages", "The needle").await;
    page.until("return document.querySelectorAll('#requests > li').length === 1")
        .await;
    page.shows("#users", "No users yet").await;
    page.find("#search").await.clear().await.unwrap();
    page.run("document.querySelector('#search').dispatchEvent(new Event('input'))")
        .await;
    page.shows("#messages", "The hay").await;
    page.close().await;
}

#[tokio::test]
async fn names_full_of_html_and_script_stay_text() {
    let Some(page) = open().await else { return };
    let evil = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>'\"&amp;";
    let encoded: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    page.sandbox
        .ok(&format!(
            "op=useradd&addr={encoded}&name={encoded}&appid={encoded}"
        ))
        .await;
    page.sandbox
        .ok(&format!("op=groupadd&name={encoded}&m={encoded}"))
        .await;
    page.sandbox
        .ok(&format!(
            "op=message&from={encoded}&to={encoded}&msg={encoded}"
        ))
        .await;
    page.sandbox
        .ok(&format!(
            "op=message&from={encoded}&gid=102529&msg={encoded}&{encoded}=1"
        ))
        .await;
    page.sandbox
        .put("/sandbox/faults", &json!([{ "op": evil, "error": "X" }]))
        .await;
    for list in ["#users", "#groups", "#messages", "#requests", "#faults"] {
        page.shows(list, evil).await;
    }
    page.click("#requests summary").await;
    page.shows("#requests [open] .inside", evil).await;
    page.press("header", "Send a message").await;
    page.until("return document.querySelectorAll('#addresses option').length === 1")
        .await;
    let found = "return [window.hacked === undefined,
        document.querySelectorAll('main img, main script, dialog img, dialog script').length]";
    assert_eq!(page.run(found).await, json!([true, 0]));
    page.close().await;
}

#[tokio::test]
async fn ten_thousand_messages_are_shown_a_page_at_a_time() {
    let Some(page) = open().await else { return };
    let messages = (1..=10_000).map(|number| {
        json!({ "from": "alice", "to": ["bob"], "msg": format!("message number {number}") })
    });
    let world = json!({
        "users": [{ "address": "alice" }, { "address": "bob" }],
        "messages": messages.collect::<Vec<_>>(),
    });
    page.sandbox
        .put(
            "/sandbox/snapshot",
            &json!({ "version": 1, "worlds": { "default": world } }),
        )
        .await;
    page.shows("#messages-title", "10,000").await;
    page.shows("#messages", "message number 10000").await;
    let rows = "document.querySelectorAll('#messages > li').length";
    page.until(&format!("return {rows} === 100")).await;
    page.click("[aria-label='Older messages']").await;
    page.shows("#messages", "message number 9900").await;
    page.hides("#messages", "message number 9901").await;
    page.click("[aria-label='Newest messages']").await;
    page.shows("#messages", "message number 10000").await;
    page.find("#search")
        .await
        .send_keys("number 4321")
        .await
        .unwrap();
    page.until(&format!("return {rows} === 1")).await;

    // A thousand requests in a row are a few events, and the page keeps up with them.
    page.find("#search").await.clear().await.unwrap();
    page.run("document.querySelector('#search').dispatchEvent(new Event('input'))")
        .await;
    for number in 1..=1000 {
        page.sandbox
            .ok(&format!("op=message&from=bob&to=alice&msg=burst+{number}"))
            .await;
    }
    page.shows("#messages", "burst 1000").await;
    page.shows("#messages-title", "11,000").await;
    let asked = "return performance.getEntriesByType('resource')
        .filter((entry) => entry.name.includes('/sandbox/messages')).length";
    let asked = page.run(asked).await.as_u64().unwrap();
    assert!(asked < 200, "the page asked {asked} times");
    page.close().await;
}
