//! The API server, by the kubeconfig that kubectl uses.

use anyhow::{Context as _, Result, anyhow};
use crds::ModuleModel;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// A connection, and the namespace that is meant.
pub struct Cluster {
    /// The connection.
    pub client: Client,
    /// The namespace that is meant.
    pub namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig; in a pod without one, the account's token.
    pub async fn connect(context: Option<String>, namespace: Option<String>) -> Result<Self> {
        let config = match Kubeconfig::read() {
            Ok(file) => {
                let options = KubeConfigOptions {
                    context,
                    ..KubeConfigOptions::default()
                };
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .context("the kubeconfig cannot be used")?
            }
            Err(_) if context.is_none() => {
                Config::incluster().map_err(|_| anyhow!("there is no kubeconfig"))?
            }
            Err(error) => return Err(error).context("the kubeconfig cannot be read"),
        };
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("no client of the API server")?;
        Ok(Self { client, namespace })
    }

    /// ModuleModels of the namespace.
    pub fn models(&self) -> Api<ModuleModel> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A ModuleModel of the namespace.
    pub async fn model(&self, name: &str) -> Result<ModuleModel> {
        let found = self.models().get_opt(name).await.map_err(said)?;
        found.ok_or_else(|| {
            anyhow!(
                "there is no ModuleModel {name} in namespace {}",
                self.namespace
            )
        })
    }
}

/// An answer of the API server in its own words; they name the object and the missing right.
pub fn said(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("the API server: {}", status.message),
        error => anyhow::Error::new(error).context("the API server does not answer"),
    }
}
