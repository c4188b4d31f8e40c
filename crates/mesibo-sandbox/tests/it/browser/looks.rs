//! How the page looks, to eyes and to screen readers, and whom it talks to.

use std::path::Path;

use serde_json::{Value, json};

use super::session::{Page, Theme, Width, tools};

/// Fills a sandbox with something to see of everything.
async fn populate(page: &Page) {
    let sandbox = &page.sandbox;
    for (address, name) in [
        ("alice", "Alice+Archer"),
        ("bob", "Bob+Baker"),
        ("carol%40example.com", "Carol+Danvers"),
        ("support-bot", "Support"),
    ] {
        sandbox
            .ok(&format!("op=useradd&addr={address}&name={name}&appid=demo"))
            .await;
    }
    sandbox.ok("op=userset&uid=5305&active=0").await;
    let group = sandbox.ok("op=groupadd&name=Night+shift&m=alice,bob").await;
    let gid = &group["group"]["gid"];
    for message in [
        "from=alice&to=bob&msg=Hello+Bob,+are+you+there%3F",
        "from=bob&to=alice&msg=Yes.+The+order+has+arrived.",
        "from=carol%40example.com&to=alice,bob&type=3&msg=Could+somebody+look+at+ticket+4711%3F",
    ] {
        sandbox.ok(&format!("op=message&{message}")).await;
    }
    sandbox
        .ok(&format!(
            "op=message&from=alice&gid={gid}&msg=Who+takes+4711%3F%0AIt+is+urgent."
        ))
        .await;
    sandbox
        .error("op=message&from=alice&to=nobody&msg=Hello")
        .await;
    let rules = json!([
        { "address": "carol*", "delay": "250ms", "world": "default" },
        { "op": "message", "error": "QUOTAEXCEEDED", "times": 1 },
    ]);
    sandbox.put("/sandbox/faults", &rules).await;
    let listed = sandbox.ok(&format!("op=groupgetmembers&gid={gid}")).await;
    assert_eq!(listed["members"].as_array().map(Vec::len), Some(2));
    sandbox
        .ok("op=message&from=bob&to=carol%40example.com&msg=I+do.&sig=none")
        .await;
    sandbox
        .error("op=message&from=bob&to=alice&msg=All+done")
        .await;
    // On a narrow screen some of it is on another part.
    page.until(
        "const holds = (id, text) => document.getElementById(id).textContent.includes(text);
         return holds('messages', 'I do.') && holds('requests', 'QUOTAEXCEEDED')
             && holds('faults', '1 hit')",
    )
    .await;
}

/// What axe-core finds that is serious or critical.
async fn violations(page: &Page) -> Vec<String> {
    let [_, _, axe] = tools().expect("they were there a moment ago");
    let axe = std::fs::read_to_string(axe).expect("axe-core");
    page.run(&format!("{axe}; window.axe = axe;")).await;
    let script = "const done = arguments[0];
        axe.run().then(({ violations }) => done(violations), (error) => done(String(error)))";
    let found = page
        .client
        .execute_async(script, Vec::new())
        .await
        .expect("it ran");
    let found = found.as_array().unwrap_or_else(|| panic!("{found}"));
    let serious = found.iter().filter(|violation| {
        let impact = violation["impact"].as_str();
        matches!(impact, Some("serious" | "critical"))
    });
    serious
        .map(|violation| {
            let nodes = violation["nodes"].as_array().into_iter().flatten();
            let nodes: Vec<_> = nodes.map(|node| node["html"].to_string()).collect();
            format!("{}: {}", violation["help"], nodes.join("\n  "))
        })
        .collect()
}

#[tokio::test]
async fn the_page_is_accessible_and_its_looks_are_kept_as_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (theme, width) in [
        (Theme::Light, Width::Wide),
        (Theme::Dark, Width::Wide),
        (Theme::Light, Width::Narrow),
        (Theme::Dark, Width::Narrow),
    ] {
        let Some(page) = Page::open(theme, width).await else {
            return;
        };
        let keep = async |what: &str| {
            let name = format!("{what}-{theme:?}-{width:?}.png").to_lowercase();
            let image = page.client.screenshot().await.expect("an image");
            std::fs::write(folder.join(name), image).expect("a file");
            assert_eq!(
                violations(&page).await,
                [] as [String; 0],
                "{what} {theme:?} {width:?}"
            );
        };
        let dark = "return matchMedia('(prefers-color-scheme: dark)').matches";
        assert_eq!(page.run(dark).await, theme == Theme::Dark);
        page.shows("#welcome", "Nothing here yet").await;
        keep("welcome").await;
        populate(&page).await;
        keep("messages").await;
        let wider = "return document.documentElement.scrollWidth > innerWidth";
        assert_eq!(page.run(wider).await, false, "it scrolls sideways");
        if width == Width::Narrow {
            for part in ["requests", "people", "faults"] {
                page.click(&format!("nav [data-part={part}]")).await;
                keep(part).await;
            }
            page.click("nav [data-part=requests]").await;
        }
        page.click("#requests summary").await;
        keep("request").await;
        for dialog in ["user", "message", "fault", "clock", "reset"] {
            page.run(&format!(
                "document.querySelector('[data-opens={dialog}-dialog]').click()"
            ))
            .await;
            if dialog == "fault" {
                page.shows("#recipes", "AUTHFAIL").await;
            }
            keep(dialog).await;
            page.press(&format!("#{dialog}-dialog"), "Cancel").await;
        }
        page.close().await;
    }
}

#[tokio::test]
async fn everything_is_reached_by_the_keyboard() {
    let Some(page) = Page::open(Theme::Light, Width::Wide).await else {
        return;
    };
    populate(&page).await;
    let tab = async || {
        page.client
            .active_element()
            .await
            .unwrap()
            .send_keys("\u{E004}")
            .await
            .unwrap();
        page.run(
            "const e = document.activeElement;
             return (e.getAttribute('aria-label') ?? e.innerText ?? '') + e.id",
        )
        .await
    };
    let mut reached = Vec::new();
    for _ in 0..60 {
        reached.push(tab().await.as_str().unwrap_or_default().to_owned());
    }
    for wanted in [
        "Skip to the messages",
        "world",
        "search",
        "clock",
        "Send a message",
        "Add a user",
        "Set a fault",
        "Reset",
        "Delete user alice",
        "Delete message 1387628",
    ] {
        assert!(
            reached.iter().any(|text| text.ends_with(wanted)),
            "{wanted}: {reached:#?}"
        );
    }
    // A dialog closes by Escape, and gives the focus back.
    page.run("document.querySelector('[data-opens=user-dialog]').focus()")
        .await;
    let button = page.client.active_element().await.unwrap();
    button.send_keys("\u{E007}").await.unwrap();
    page.until("return document.activeElement.name === 'addr'")
        .await;
    page.client
        .active_element()
        .await
        .unwrap()
        .send_keys("\u{E00C}")
        .await
        .unwrap();
    page.until("return document.activeElement.dataset.opens === 'user-dialog'")
        .await;
    page.close().await;
}

#[tokio::test]
async fn nothing_is_asked_of_another_origin_and_nothing_may_be() {
    let Some(page) = Page::open(Theme::Light, Width::Wide).await else {
        return;
    };
    populate(&page).await;
    let entries = "return performance.getEntriesByType('resource').map((entry) => entry.name)";
    let origin = page.sandbox.url("/");
    let asked = page.run(entries).await;
    let asked = asked.as_array().unwrap();
    assert!(asked.len() > 10);
    for url in asked {
        assert!(url.as_str().unwrap().starts_with(&origin), "{url}");
    }
    let script = "const done = arguments[0];
        const refused = [];
        document.addEventListener('securitypolicyviolation',
            (event) => refused.push(event.effectiveDirective));
        const image = new Image();
        image.src = 'http://127.0.0.1:9/x.png';
        document.body.append(image);
        const inline = document.createElement('script');
        inline.textContent = 'window.inlined = true';
        document.body.append(inline);
        fetch('http://127.0.0.1:9/').catch(() => {})
            .then(() => setTimeout(() => done([refused.sort(), window.inlined === true]), 50))";
    let refused = page
        .client
        .execute_async(script, Vec::new())
        .await
        .expect("it ran");
    let expected: Value = json!([["connect-src", "img-src", "script-src-elem"], false]);
    assert_eq!(refused, expected);
    page.close().await;
}
