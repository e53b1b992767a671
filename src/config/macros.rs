//! The two forms in which a section says all that there is to know of a key in one place: its
//! name, its type, its default and its meaning.

/// A section: a struct with a default, which knows the names of its keys.
///
/// After the keys may stand the section's tables (`[[section.name]]`): lists, empty by default.
macro_rules! section {
    (
        $(#[$doc:meta])*
        $section:literal $name:ident {
            $($(#[doc = $key_doc:literal])* $key:ident: $type:ty = $default:expr,)*
        }
        $(tables { $($(#[$table_doc:meta])* $table:ident: $entry:ty,)* })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $key_doc])* pub $key: $type,)*
            $($($(#[$table_doc])* pub $table: Vec<$entry>,)*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($key: $default,)*
                    $($($table: Vec::new(),)*)?
                }
            }
        }

        impl $name {
            /// Takes the section's keys; what is not there or wrong keeps its default.
            pub(in crate::config) fn read(values: &mut $crate::config::values::Values) -> Self {
                Self {
                    $($key: values.take(concat!($section, ".", stringify!($key)), $default),)*
                    $($($table: Vec::new(),)*)?
                }
            }

            /// Each key with its value.
            pub(in crate::config) fn rows(&self) -> Vec<$crate::config::Row> {
                vec![$($crate::config::Row::new(
                    concat!($section, ".", stringify!($key)),
                    &self.$key,
                ),)*]
            }

            /// What the sources say of each key, for the test that they tell the true default.
            #[cfg(test)]
            pub(in crate::config) fn docs() -> Vec<(&'static str, &'static str)> {
                vec![$((concat!($section, ".", stringify!($key)), concat!($($key_doc),*)),)*]
            }
        }
    };
}

/// An enum whose variants are written as one word each.
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The word for it in the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl $crate::config::setting::Setting for $name {
            fn allowed() -> String {
                [$(concat!("`", $word, "`")),*].join(" or ")
            }

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err("is none of them".to_owned()),
                }
            }

            fn show(&self) -> Option<String> {
                Some(self.as_str().to_owned())
            }
        }
    };
}

pub(super) use {choice, section};
