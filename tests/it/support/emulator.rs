//! The HTTP port of an emulator.

use std::net::SocketAddr;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// A client of an emulator.
pub struct Emulator {
    client: Client,
    address: SocketAddr,
}

impl Emulator {
    /// A client of the emulator that listens on an address.
    pub fn new(address: SocketAddr) -> Self {
        // reqwest wants one, though nothing here is encrypted. It fails if there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: Client::new(),
            address,
        }
    }

    /// A request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url)
    }

    /// What it has at a path.
    pub async fn get(&self, path: &str) -> Value {
        answer(self.request(Method::GET, path)).await
    }

    /// What it answers a JSON body, which it must take.
    pub async fn send(&self, method: Method, path: &str, body: &Value) {
        let response = self.request(method, path).body(body.to_string()).send();
        let response = response.await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path} {body}: {status} {text}");
    }

    /// Deletes what is at a path.
    pub async fn delete(&self, path: &str) {
        let response = self.request(Method::DELETE, path).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {response:?}");
    }

    /// What it answers a form that is posted to the backend API.
    pub async fn op(&self, form: &str) -> Value {
        let request = self.request(Method::POST, "/api.php");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        answer(request.body(form.to_owned())).await
    }

    /// The addresses of the users of a world.
    pub async fn users(&self, world: &str) -> Vec<String> {
        let listed = self.get(&format!("/sandbox/users?world={world}")).await;
        let users = listed["users"].as_array().unwrap().iter();
        users
            .map(|user| user["address"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn answer(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}
