//! The rule `rising` as a plug-in of Extism: a batch as flat bytes in, effects as flat bytes out.

use extism_pdk::*;

#[plugin_fn]
pub fn handle(batch: Vec<u8>) -> FnResult<Vec<u8>> {
    let mut effects = Vec::new();
    flat::handle(&batch, &mut effects).ok_or_else(|| Error::msg("not a batch"))?;
    Ok(effects)
}
