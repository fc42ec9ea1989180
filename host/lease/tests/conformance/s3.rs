//! An S3 server: by default one in this process, otherwise the one that `LITTORAL_TEST_S3` names.

use crate::{
    claim,
    identity::{ReplaceableStore, a_lost_store_is_distinguished_from_a_new_one},
    suite,
    support::s3::S3,
};
use littoral_lease::store::object::Object;
use littoral_lease::{LeaseStore, Swap, Timing, clock, store::open};
use littoral_model::ports::BoxFuture;
use object_store::aws::AmazonS3Builder;
use std::{fs, path::PathBuf, sync::Arc, time::Duration};

/// Long times: these tests check what the store guarantees, not how quickly it answers.
const TIMING: Timing =
    Timing { request_timeout: Duration::from_secs(20), term: Duration::from_secs(60), ..Timing::DEFAULT };

fn opened(address: &str, settings: AmazonS3Builder) -> Arc<dyn LeaseStore> {
    open::open(address, &TIMING, clock::system(), settings, None).unwrap()
}

/// Returns the settings that [`AmazonS3Builder::from_env`] would read from the server's environment.
fn settings(server: &S3) -> AmazonS3Builder {
    let environment = server.environment();
    let known = environment.into_iter().filter_map(|(key, value)| Some((key.to_lowercase().parse().ok()?, value)));
    known.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_meets_every_requirement() {
    match std::env::var("LITTORAL_TEST_S3") {
        Ok(address) => {
            let unique = format!("{address}/{}-{}", std::process::id(), clock::now().as_nanos());
            suite::every_requirement_holds(&|name| opened(&format!("{unique}/{name}"), AmazonS3Builder::from_env()))
                .await;
        }
        Err(_) => {
            let server = S3::start().await;
            suite::every_requirement_holds(&|name| opened(&server.lease(name), settings(&server))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_prefix_is_distinguished_from_the_earlier_one() {
    a_lost_store_is_distinguished_from_a_new_one(&S3::start().await).await;
}

impl ReplaceableStore for S3 {
    fn open(&self, name: &str, memory: Option<PathBuf>) -> Arc<dyn LeaseStore> {
        open::open(&self.lease(name), &TIMING, clock::system(), settings(self), memory).unwrap()
    }

    fn open_unguarded(&self, name: &str) -> Arc<dyn LeaseStore> {
        let bucket = settings(self).with_bucket_name(S3::BUCKET).build().unwrap();
        Arc::new(Object::at(Arc::new(bucket), format!("{name}/lease.json").into()))
    }

    fn take_away<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        let path = self.prefix(name);
        Box::pin(async move { fs::rename(&path, path.with_extension("aside")).unwrap() })
    }

    fn restore<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        let path = self.prefix(name);
        Box::pin(async move {
            let _ = fs::remove_dir_all(&path);
            fs::rename(path.with_extension("aside"), &path).unwrap();
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_s3_names_the_object() {
    let server = S3::start().await;
    let store = opened(&server.lease("eu"), settings(&server).with_secret_access_key("another"));
    let error = store.read().await.unwrap_err().to_string();
    assert!(error.contains("eu/lease.json"), "{error}");
    store.swap(None, &claim("stranger", 1, 1)).await.unwrap_err();
    let store = opened(&server.lease("eu"), settings(&server));
    assert!(store.read().await.unwrap().is_none(), "the rejected process has claimed the lease");
    assert!(matches!(store.swap(None, &claim("one", 1, 1)).await.unwrap(), Swap::Done(_)));
}
