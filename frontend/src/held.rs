//! What was fetched, kept behind one type. The machinery of signals is compiled anew for each type that
//! it carries; behind this one it is compiled once, and the type is known again where it is read.

use leptos::prelude::*;
use std::{any::Any, marker::PhantomData, sync::Arc};

/// A value whose type is forgotten.
#[derive(Clone)]
pub struct Thing {
    value: Arc<dyn Any + Send + Sync>,
    same: fn(&dyn Any, &dyn Any) -> bool,
}

impl Thing {
    /// Forgets the type of `value`.
    pub fn new<T: PartialEq + Send + Sync + 'static>(value: T) -> Self {
        Self { value: Arc::new(value), same: same::<T> }
    }

    fn read<T: 'static>(&self) -> &T {
        #[expect(clippy::expect_used, reason = "only a Held<T> reads, and it is made of a T")]
        self.value.downcast_ref().expect("a value is read as what it was kept as")
    }
}

fn same<T: PartialEq + 'static>(one: &dyn Any, other: &dyn Any) -> bool {
    matches!((one.downcast_ref::<T>(), other.downcast_ref::<T>()), (Some(one), Some(other)) if one == other)
}

impl PartialEq for Thing {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value) || (self.same)(self.value.as_ref(), other.value.as_ref())
    }
}

/// A value that is followed, like a signal. Copy.
pub struct Held<T> {
    thing: Signal<Thing>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Held<T> {}

impl<T: Clone + 'static> Held<T> {
    /// Follows `thing`, which holds a `T`.
    pub fn new(thing: Signal<Thing>) -> Self {
        Self { thing, of: PhantomData }
    }

    /// Reads it, followed.
    pub fn with<R>(self, read: impl FnOnce(&T) -> R) -> R {
        read(self.thing.get().read())
    }

    /// Reads it as it is now.
    pub fn with_untracked<R>(self, read: impl FnOnce(&T) -> R) -> R {
        read(self.thing.get_untracked().read())
    }

    /// Reads it as it is now, unless its page is gone.
    pub fn try_with_untracked<R>(self, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.thing.try_get_untracked().map(|thing| read(thing.read()))
    }

    /// Copies it, followed.
    pub fn get(self) -> T {
        self.with(T::clone)
    }

    /// Copies it as it is now.
    pub fn get_untracked(self) -> T {
        self.with_untracked(T::clone)
    }
}

/// A value that may not be there yet. Copy.
pub struct Slot<T> {
    thing: RwSignal<Option<Thing>>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T: Clone + PartialEq + Send + Sync + 'static> Slot<T> {
    /// Starts empty.
    pub fn new() -> Self {
        Self { thing: RwSignal::new(None), of: PhantomData }
    }

    /// The signal behind it.
    pub fn thing(self) -> RwSignal<Option<Thing>> {
        self.thing
    }

    /// Reads it, followed.
    pub fn with<R>(self, read: impl FnOnce(Option<&T>) -> R) -> R {
        let thing = self.thing.get();
        read(thing.as_ref().map(Thing::read))
    }

    /// Copies it, followed.
    pub fn get(self) -> Option<T> {
        self.thing.get().map(|thing| thing.read::<T>().clone())
    }

    /// Copies it as it is now.
    pub fn get_untracked(self) -> Option<T> {
        self.thing.get_untracked().map(|thing| thing.read::<T>().clone())
    }
}
