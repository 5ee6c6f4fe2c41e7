//! The least of an HTTP client.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What can go wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sends a request to a port of the loopback interface, over a connection of its own.
///
/// # Errors
/// When there is no answer.
pub async fn send(port: u16, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}

/// Posts a body.
///
/// # Errors
/// When there is no answer.
pub async fn post(port: u16, path: &str, content_type: &str, body: impl Into<Bytes>) -> Result<Response<Bytes>, Error> {
    let request = Request::post(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("content-type", content_type)
        .body(Full::new(body.into()))?;
    send(port, request).await
}
