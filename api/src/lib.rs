//! REST wire types, routers and clients, and their OpenAPI documents.
