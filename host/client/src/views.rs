//! Feature views.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_api::{
    node::{self, Views},
    view::View,
};
use littoral_model::{details::ViewDefinition, view::FeatureView};

/// What became of a view's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewPut {
    /// Where the change stands in the log.
    pub receipt: ChangeReceipt,
    /// The view as the catalogue has it now.
    pub view: FeatureView,
}

impl Client {
    /// Every view, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn views(&self) -> Result<Vec<FeatureView>, Error> {
        Ok(self.view_definitions().await?.into_iter().map(|definition| definition.view).collect())
    }

    /// Every view with its details, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn view_definitions(&self) -> Result<Vec<ViewDefinition>, Error> {
        let views: Views<View> = self.send(Call::get("/v1/views")).await?.json()?;
        Ok(views.views.into_iter().map(ViewDefinition::from).collect())
    }

    /// The view of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn view(&self, name: &str) -> Result<FeatureView, Error> {
        Ok(self.view_definition(name).await?.view)
    }

    /// The view of this name, with its details.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn view_definition(&self, name: &str) -> Result<ViewDefinition, Error> {
        let wire: View = self.send(Call::get(format!("/v1/views/{}", escape(name)))).await?.json()?;
        let mut definition = ViewDefinition::from(wire);
        name.clone_into(&mut definition.view.name);
        Ok(definition)
    }

    /// Makes a view or evolves it. The view then has no details.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when the definition cannot be taken.
    pub async fn put_view(&self, view: &FeatureView) -> Result<ViewPut, Error> {
        self.define_view(&view.clone().into()).await
    }

    /// Makes a view or evolves it, with its details.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when the definition cannot be taken.
    pub async fn define_view(&self, definition: &ViewDefinition) -> Result<ViewPut, Error> {
        let name = &definition.view.name;
        let body = View::from(definition.clone()).unnamed();
        let call = Call::new(Method::PUT, format!("/v1/views/{}", escape(name))).json(&body)?;
        let put: node::ViewPut<View> = self.send(call).await?.json()?;
        Ok(ViewPut { receipt: put.receipt, view: FeatureView { name: name.clone(), ..put.view.into() } })
    }

    /// Drops a view and every row of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_view(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/views/{}", escape(name)))).await?.json()
    }
}
