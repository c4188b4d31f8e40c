//! Serves a sandbox on 127.0.0.1:50080 until Ctrl-C.

use mesibo_sandbox::Sandbox;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listen = ([127, 0, 0, 1], 50080).into();
    let sandbox = Sandbox::builder().listen(listen).bind().await?;
    println!("the page is at http://{}/", sandbox.local_addr());
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    sandbox.serve(interrupted).await
}
