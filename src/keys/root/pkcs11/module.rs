//! The modules that the process has loaded, and the one thread that calls them.
//!
//! That thread never ends. What a module, and the libraries below it, keep for a thread is undone when the thread ends, and
//! all of it when the process does: threads that end just then free twice what there is once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Context};
use cryptoki::error::{Error as Fault, RvError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::fault;
use crate::error::{Error, Result};

/// One of each path, never unloaded: PKCS #11 allows no second `C_Initialize` in a process, whoever asks for it.
static LOADED: Mutex<Vec<(PathBuf, Context)>> = Mutex::new(Vec::new());
/// What the thread is to do next, once there is one.
static CALLS: OnceLock<mpsc::Sender<Call>> = OnceLock::new();

/// Most calls that wait for the thread.
const MOST_WAITING: usize = 64;
/// Most time that a module may take, whose calls cannot be stopped.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the end of the process waits for a call under way.
const PATIENCE: Duration = Duration::from_secs(1);

type Call = Box<dyn FnOnce() + Send>;

/// Does `work`, which calls modules, when its turn comes.
///
/// # Errors
/// Those of `work`; `Temporary` where it takes too long.
pub(super) async fn call<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let calls = calls();
    let (tell, told) = oneshot::channel();
    let call = Box::new(move || drop(tell.send(work())));
    let done = async {
        let _ = calls.send(call).await;
        told.await
    };
    match timeout(LIMIT, done).await {
        Ok(done) => done.unwrap_or_else(|_| Err(Error::failed("nobody calls the PKCS #11 module any more"))),
        Err(_) => {
            Err(Error::temporary(format!("the PKCS #11 module does not answer within {} s", LIMIT.as_secs()))
                .help("see the module's own log; nothing is lost, run the same command again when it works"))
        }
    }
}

/// Has something dropped whose end is a call.
pub(super) fn drop_there(something: impl Send + 'static) {
    // Where too many wait it is dropped here, which modules that lock for themselves can stand.
    let _ = calls().try_send(Box::new(move || drop(something)));
}

fn calls() -> &'static mpsc::Sender<Call> {
    CALLS.get_or_init(|| {
        let (calls, mut next) = mpsc::channel::<Call>(MOST_WAITING);
        let work = move || {
            while let Some(call) = next.blocking_recv() {
                call();
            }
        };
        // Without a thread nobody takes the calls, and each is told so.
        let _ = thread::Builder::new().name("sealift-pkcs11".to_owned()).spawn(work);
        calls
    })
}

/// The module of a path, initialized.
///
/// # Errors
/// `Invalid` when there is none.
pub(super) fn load(path: &Path) -> Result<Context> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, module)) = loaded.iter().find(|(one, _)| one == path) {
        return Ok(module.clone());
    }
    let module = Context::new(path).map_err(|error| fault::unloadable(&error, path))?;
    initialize(&module).map_err(|error| fault::unloadable(&error, path))?;
    loaded.push((path.to_owned(), module.clone()));
    Ok(module)
}

pub(super) fn initialize(module: &Context) -> Result<(), Fault> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Fault::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        done => done,
    }
}

/// Finalizes every module, for the end of the process: nothing calls one after that. A call that does not end is left alone.
pub(in crate::keys::root) fn end_all() {
    let Some(calls) = CALLS.get() else { return };
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let end = move || {
        for (_, module) in LOADED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = module.clone().finalize();
        }
        let _ = tell.send(());
        loop {
            thread::park();
        }
    };
    if calls.try_send(Box::new(end)).is_ok() {
        let _ = told.recv_timeout(PATIENCE);
    }
}
