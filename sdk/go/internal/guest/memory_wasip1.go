package guest

import "unsafe"

// ArgumentBytes is how much one call's arguments may take. More traps: the host then tries with fewer inputs. The
// contract's instance has 64 MiB by default, so this leaves room for what a rule makes of them; a single input, with its
// state, is far smaller. What no call has touched is no memory yet.
const ArgumentBytes = 8 << 20

// The adapter that makes WASI 0.2 of the runtime's calls asks for one page for what it keeps, and one for its stack. It
// cannot take them by growing the memory: Go takes for its own whatever is added to it.
const adapterBytes = 3 << 16

// This is set aside, so that handing it out takes nothing from the heap.
//
// The host calls `cabi_realloc` while it passes arguments. Then nothing may be called that is imported, and the
// runtime does that whenever it collects, grows a stack or switches goroutines. So these functions allocate nothing and
// are `nosplit`: they run from beginning to end on the stack that is there.
var (
	argumentMemory [ArgumentBytes / 8]uint64
	adapterMemory  [adapterBytes / 8]uint64
	argumentsUsed  uint32
	adapterUsed    uint32
)

//go:wasmexport cabi_realloc
//go:nosplit
func allocateArguments(old uint32, oldSize, align, size uint32) uint32 {
	return allocate(unsafe.Pointer(&argumentMemory), ArgumentBytes, &argumentsUsed, old, oldSize, align, size)
}

// It is called before the package is initialised, and within calls of the rule's: what it gives is never taken back.
//
//go:wasmexport cabi_realloc_adapter
//go:nosplit
func allocateForAdapter(old uint32, oldSize, align, size uint32) uint32 {
	return allocate(unsafe.Pointer(&adapterMemory), adapterBytes, &adapterUsed, old, oldSize, align, size)
}

// allocate takes the next bytes. What does not fit gets an address that is none, which the host refuses in words.
//
//go:nosplit
func allocate(memory unsafe.Pointer, limit uint32, used *uint32, old, oldSize, align, size uint32) uint32 {
	start := (uint32(uintptr(memory)) + *used + align - 1) &^ (align - 1)
	offset := start - uint32(uintptr(memory))
	if offset > limit || size > limit-offset {
		return ^uint32(0)
	}
	*used = offset + size
	for position := uint32(0); position < min(oldSize, size); position++ {
		*(*byte)(unsafe.Add(memory, offset+position)) = *(*byte)(unsafe.Add(unsafe.Pointer(nil), old+position))
	}
	return start
}

// Lifted says that all arguments of a call have been copied: their memory is for the next one.
func Lifted() {
	argumentsUsed = 0
}
