//! The connections to AWS, which all clients share.
//!
//! Left to themselves, clients make a connector each, and one more to see whether it can be made. Every one of them reads each
//! root certificate of the system anew, before the first event's first call.

use std::borrow::Cow;
use std::sync::OnceLock;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// One connector, made for the first call. It keeps its connections, by host.
#[derive(Debug, Default)]
pub(crate) struct Connections(OnceLock<SharedHttpConnector>);

impl HttpClient for Connections {
    /// All clients have the same settings, which are those of [`crate::aws`].
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let make = || {
            let mut builder: ConnectorBuilder = Connector::builder();
            builder.set_connector_settings(Some(settings.clone()));
            builder.set_sleep_impl(components.sleep_impl());
            builder.set_proxy_config(Some(ProxyConfig::from_env()));
            SharedHttpConnector::new(builder.tls_provider(Provider::rustls(CryptoMode::AwsLc)).build())
        };
        self.0.get_or_init(make).clone()
    }

    /// Stands in the user agent.
    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some(Cow::Borrowed("1.x"))))
    }
}
