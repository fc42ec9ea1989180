//! Feature views.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_api::{
    node::{self, Views},
    view::View,
};
use littoral_model::{details::ViewDefinition, view::FeatureView};

/// The result of creating or changing a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewPut {
    /// The receipt of the change.
    pub receipt: ChangeReceipt,
    /// The view as the catalogue has it now.
    pub view: FeatureView,
}

impl Client {
    /// Returns every view, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn views(&self) -> Result<Vec<FeatureView>, Error> {
        Ok(self.view_definitions().await?.into_iter().map(|definition| definition.view).collect())
    }

    /// Returns every view with its details, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn view_definitions(&self) -> Result<Vec<ViewDefinition>, Error> {
        let views: Views<View> = self.send(Call::get("/v1/views")).await?.json()?;
        Ok(views.views.into_iter().map(ViewDefinition::from).collect())
    }

    /// Returns the view of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn view(&self, name: &str) -> Result<FeatureView, Error> {
        Ok(self.view_definition(name).await?.view)
    }

    /// Returns the view of this name, with its details.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn view_definition(&self, name: &str) -> Result<ViewDefinition, Error> {
        let wire: View = self.send(Call::get(format!("/v1/views/{}", escape(name)))).await?.json()?;
        let mut definition = ViewDefinition::from(wire);
        name.clone_into(&mut definition.view.name);
        Ok(definition)
    }

    /// Creates or changes a view. The view then has no details.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the definition.
    pub async fn put_view(&self, view: &FeatureView) -> Result<ViewPut, Error> {
        self.define_view(&view.clone().into()).await
    }

    /// Creates or changes a view, with its details.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the definition.
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
