//! Defining what there is: views, a feature service, a push source.
use crate::{
    demo::{stage::Stage, story::Story},
    failure::Failure,
};
pub async fn play(_: &mut Story, _: &mut Stage) -> Result<(), Failure> {
    Ok(())
}
