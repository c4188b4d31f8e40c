//! The documents, checked against the program.

use std::path::Path;

use serde_json::Value;

use crate::support::{Running, json};

/// `docs/sandbox.md` of the repository.
fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox.md");
    std::fs::read_to_string(path).expect("the document")
}

/// The names in backticks in the first column of a table that begins with a head.
fn first_column(document: &str, head: &str) -> Vec<String> {
    let (_, table) = document.split_once(head).expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cell = row.split('|').nth(1).expect("a cell");
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[tokio::test]
async fn every_example_of_json_is_taken() {
    let sandbox = Running::start().await;
    let document = document();
    let blocks = document.split("```json\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().expect("an end"));
    let mut count = 0;
    for block in blocks {
        let example: Value = serde_json::from_str(block).expect(block);
        let path = if example.is_array() {
            "/sandbox/faults"
        } else {
            "/sandbox/snapshot"
        };
        sandbox.put(path, &example).await;
        count += 1;
    }
    assert_eq!(count, 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn every_operation_in_the_table_exists() {
    let sandbox = Running::start().await;
    let operations = first_column(&document(), "| op | parameters,");
    assert!(operations.len() >= 14, "{operations:?}");
    for operation in operations {
        let reply = json(sandbox.op(&format!("op={operation}"))).await;
        assert_ne!(reply["error"], "BADOP", "{operation}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn every_magic_address_in_the_table_is_one() {
    let sandbox = Running::start().await;
    let addresses = first_column(&document(), "| address | does what |");
    assert_eq!(addresses.len(), 7, "{addresses:?}");
    for address in &addresses {
        // Its effect may well leave no answer.
        let request = sandbox.op(&format!("op=usersget&addr={address}"));
        let _ = request.send().await;
    }
    let requests = sandbox.get("/sandbox/requests?fault=true").await;
    assert_eq!(requests["total"], addresses.len());
    sandbox.stop().await;
}

#[tokio::test]
async fn the_document_names_every_path_of_the_api() {
    let sandbox = Running::start().await;
    let description = sandbox.get("/sandbox/openapi.json").await;
    let document = document();
    for path in description["paths"].as_object().expect("paths").keys() {
        let name = path
            .trim_start_matches("/sandbox")
            .split("/{")
            .next()
            .expect("a name");
        assert!(document.contains(name), "{path}");
    }
    sandbox.stop().await;
}
