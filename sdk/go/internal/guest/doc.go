// Package guest is the seam to the host: the canonical ABI of the component model, by hand, for the functions of the
// contract (`wit`). It has nothing natively.
//
// What comes in is copied into Go's own memory, once for a list: then nothing that a rule keeps hold of can change under
// it. What goes out is read by the host where it lies, and kept alive until the next call.
package guest
