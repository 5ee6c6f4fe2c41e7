//! The `sharing` function.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    rescind_lambda::run(sharing::FUNCTION).await
}
