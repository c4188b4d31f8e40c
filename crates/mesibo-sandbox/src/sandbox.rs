//! The sandbox as programs embed it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::http::{Guard, router};
use crate::hub::{Hook, Hub, Snapshot};
use crate::net::Acceptor;
use crate::settings::{DEFAULT_WORLD, Hosts, Limits, Origins, Tokens};
use crate::store::{self, File};

/// The settings of a sandbox that is not bound yet; see [`Sandbox::builder`].
#[derive(Default)]
#[must_use = "a builder does nothing until it is bound"]
pub struct Builder {
    listen: Option<SocketAddr>,
    tokens: Tokens,
    hosts: Hosts,
    origins: Origins,
    limits: Limits,
    faults: Option<PathBuf>,
    seed: Option<PathBuf>,
    data: Option<PathBuf>,
    hook: Option<Hook>,
}

/// A sandbox that is bound to its port and not yet serving.
///
/// Connections that arrive before [`Sandbox::serve`] wait for it.
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    hub: Arc<Hub>,
    guard: Arc<Guard>,
    connections: usize,
    data: Option<PathBuf>,
}

impl Builder {
    /// The address to listen on: a free port of 127.0.0.1 by default. Whoever reaches
    /// it sees and changes everything: keep it on a loopback address.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Which application tokens are taken: any by default.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Which names the `Host` of a request may have besides IP addresses and
    /// `localhost`: none by default.
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// The origins of web pages whose scripts may call the sandbox: none by default.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// The limits on memory and connections.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A JSON file with fault rules, as `PUT /sandbox/faults` takes them.
    pub fn faults_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.faults = Some(file.into());
        self
    }

    /// A JSON file with a snapshot to begin with, as `PUT /sandbox/snapshot` takes it.
    /// The seed is not read if there is a data file already.
    pub fn seed_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.seed = Some(file.into());
        self
    }

    /// A file in which users, groups, messages and clocks are kept over restarts. It is
    /// made if there is none, and written within 200 ms of a change, whole or not at
    /// all.
    pub fn data_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.data = Some(file.into());
        self
    }

    /// A function that is called with the name of each world that was emptied, deleted
    /// or replaced, once that is done; what a program remembers of the world is stale
    /// then.
    pub fn on_reset(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Reads the files and binds the port.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or a file cannot be read or does not hold what
    /// it should, or the data file's folder cannot be written to. The faults file and the
    /// seed file must exist. An error about a file has the kind
    /// [`InvalidData`](io::ErrorKind::InvalidData), and names the file, and the line if it
    /// is about one.
    pub async fn bind(self) -> io::Result<Sandbox> {
        let connections = self.limits.connections.min(Semaphore::MAX_PERMITS);
        let mut hub = Hub::new(self.tokens, self.limits);
        if let Some(path) = &self.faults {
            let file = File::new("faults", path);
            let rules = file.read()?.ok_or_else(|| file.missing())?;
            let replaced = hub.change(|state| state.faults.replace(None, rules));
            replaced.map_err(|error| file.wrong(&error))?;
        }
        let data = self.data.as_ref().map(|path| File::new("data", path));
        let kept = match &data {
            Some(file) => file.read::<Snapshot>()?.map(|kept| (file, kept)),
            None => None,
        };
        let seed = self.seed.as_ref().map(|path| File::new("seed", path));
        let first = match (kept, &seed) {
            (None, Some(file)) => {
                let seed = file.read()?.ok_or_else(|| file.missing())?;
                Some((file, seed))
            }
            (kept, _) => kept,
        };
        if let Some((file, snapshot)) = first {
            let restored = hub.restore_all(snapshot);
            restored.map_err(|error| file.wrong(&error))?;
        }
        hub.hook = self.hook;
        if let Some(file) = &data {
            file.check_folder()?;
        }
        let listen = self.listen.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let listener = TcpListener::bind(listen).await?;
        Ok(Sandbox {
            address: listener.local_addr()?,
            listener,
            hub: Arc::new(hub),
            guard: Guard::new(self.hosts, self.origins),
            connections,
            data: self.data,
        })
    }
}

impl Sandbox {
    /// A sandbox with the default settings, to be changed and bound.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Binds a sandbox with one world, the default one, which `token` opens.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn bind(listen: SocketAddr, token: impl Into<String>) -> io::Result<Self> {
        let worlds = BTreeMap::from([(token.into(), DEFAULT_WORLD.to_owned())]);
        let builder = Self::builder().listen(listen).tokens(Tokens::Only(worlds));
        builder.bind().await
    }

    /// The address that it is bound to, with the port that the system chose if port
    /// 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, and then finishes the requests in flight,
    /// for one second at the most, and writes the data file.
    ///
    /// # Errors
    ///
    /// A task of the sandbox panicked.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let hub = self.hub;
        let connections = TaskTracker::new();
        let acceptor = Acceptor {
            hub: Arc::clone(&hub),
            router: router(Arc::clone(&hub), self.guard),
            address: self.address,
            room: Arc::new(Semaphore::new(self.connections)),
            connections: connections.clone(),
        };
        let keeping = self
            .data
            .map(|path| tokio::spawn(store::keep(Arc::clone(&hub), path)));
        let mut accepting = tokio::spawn(acceptor.run(self.listener));
        // Only a panic ends it before the hub stops.
        let failed = tokio::select! {
            ended = &mut accepting => ended.err(),
            () = shutdown => None,
        };
        hub.stopping.cancel();
        connections.close();
        connections.wait().await;
        if let Some(keeping) = keeping {
            keeping.await.map_err(io::Error::other)?;
        }
        failed.map_or(Ok(()), |error| Err(io::Error::other(error)))
    }
}
