//! The `console` function.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rescind_lambda::serve(console::Console).await
}
