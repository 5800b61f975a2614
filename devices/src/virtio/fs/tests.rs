mod descriptors;
mod escape;
mod files;
mod front;
mod guest;
mod hostile;
mod names;
mod owners;
