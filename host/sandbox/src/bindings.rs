//! The contract as Rust types, made from the WIT files.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: r#"
        package rusty-genius:host;

        // Everything the host serves, in one world: each guest's own world is a part.
        world host {
            import rusty-genius:genius/types@0.2.0;
            import rusty-genius:genius/cortex@0.2.0;
            import rusty-genius:genius/cortex-blocking@0.2.0;
            import rusty-genius:genius/facecrab@0.2.0;
            import rusty-genius:genius/reply@0.2.0;
            import rusty-genius:genius/journal@0.2.0;
            import rusty-genius:genius/scenarios@0.2.0;
            import rusty-genius:genius/tools@0.2.0;
            import rusty-genius:genius/tools-blocking@0.2.0;
        }
    "#,
    world: "rusty-genius:host/host",
    imports: {
        "rusty-genius:genius/cortex.[method]inference.events": store | trappable,
        default: async | trappable,
    },
    with: {
        "rusty-genius:genius/cortex.session": crate::host::HostSession,
        "rusty-genius:genius/cortex.inference": crate::host::HostInference,
        "rusty-genius:genius/cortex-blocking.session": crate::host::HostSession,
        "rusty-genius:genius/cortex-blocking.inference": crate::host::HostInference,
    },
});

pub(crate) use rusty_genius::genius::{
    cortex, cortex_blocking, facecrab, journal, reply, scenarios, tools, tools_blocking, types,
};
