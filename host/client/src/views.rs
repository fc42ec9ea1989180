//! Feature views.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call, wire_view::WireView};
use http::Method;
use littoral_model::view::FeatureView;
use serde::Deserialize;

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
        #[derive(Deserialize)]
        struct Views {
            views: Vec<WireView>,
        }
        let views: Views = self.send(Call::get("/v1/views")).await?.json()?;
        Ok(views.views.into_iter().map(FeatureView::from).collect())
    }

    /// The view of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn view(&self, name: &str) -> Result<FeatureView, Error> {
        let view: WireView = self.send(Call::get(format!("/v1/views/{}", escape(name)))).await?.json()?;
        Ok(FeatureView { name: name.to_owned(), ..view.into() })
    }

    /// Makes a view or evolves it.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when the definition cannot be taken.
    pub async fn put_view(&self, view: &FeatureView) -> Result<ViewPut, Error> {
        #[derive(Deserialize)]
        struct Put {
            #[serde(flatten)]
            receipt: ChangeReceipt,
            view: WireView,
        }
        let call = Call::new(Method::PUT, format!("/v1/views/{}", escape(&view.name))).json(&WireView::from(view))?;
        let put: Put = self.send(call).await?.json()?;
        Ok(ViewPut { receipt: put.receipt, view: FeatureView { name: view.name.clone(), ..put.view.into() } })
    }

    /// Drops a view and every row of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_view(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/views/{}", escape(name)))).await?.json()
    }
}
