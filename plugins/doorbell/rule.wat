;; Tells a household that somebody rang, and for the how-many-th time. See the README.
;;
;; By hand, to show what passes over the boundary: `carpe build` adds what the functions below are in the contract (docs/contract.md),
;; and makes a component of it. A host copies a call's arguments into this memory, calls, copies the result out, and says
;; when it is done. How values lie in memory is the canonical ABI of the component model: fields one behind the other, each at a
;; multiple of its own alignment; a text or a list is an address and a length; an option or a variant begins with a byte that
;; says which case it is. All numbers are little-endian.
(module
  (memory (export "memory") 2)

  ;; ---- What does not change: texts, and the description that `init` returns. ----

  (data (i32.const 2048) "doorbell")                                   ;; 8 bytes
  (data (i32.const 2064) "1.0.0")                                      ;; 5
  (data (i32.const 2080) "Tells a household that somebody rang.")      ;; 37
  (data (i32.const 2128) "doorbell.rung")                              ;; 13: the event's type, and the moment's kind
  (data (i32.const 2144) "subject")                                    ;; 7
  (data (i32.const 2160) "notify.household")                           ;; 16
  (data (i32.const 2176) "ring ")                                      ;; 5
  (data (i32.const 2192) "{\"ring\":")                                 ;; 8
  (data (i32.const 2208) "this rule has no configuration")             ;; 30
  (data (i32.const 2240) "a state is no count")                        ;; 19

  ;; `result<description, string>`: 0 says ok. Of an option, 0 says none.
  (data (i32.const 1024)
    (i32 0)
    (i32 2048 8)      ;; name
    (i32 2064 5)      ;; version
    (i32 2080 37)     ;; summary
    (i32 0 0 0)       ;; settings: none
    (i32 1280 1)      ;; subscriptions: one, there
    (i32 1344 1)      ;; moments: one
    (i32 1352 1)      ;; actions: one
    (i32 1))          ;; state-version
  (data (i32.const 1280)
    (i32 2128 13)     ;; event-type
    (i32 0 0 0)       ;; filter: none
    (i32 0 2144 7)    ;; keyed-by: the first case, `attribute`, and which
    (i32 0 0))        ;; attributes: nothing is asked for
  (data (i32.const 1344) (i32 2128 13))
  (data (i32.const 1352) (i32 2160 16))

  ;; The same result with an error in it, and that of `handle`: 1 says that it is one.
  (data (i32.const 1400) (i32 1 2208 30))
  (data (i32.const 1416) (i32 1 2240 19))

  ;; Where `handle` puts its `result<effects, string>`: 0, then four lists: states, timers, moments, failures.
  (global $result i32 (i32.const 1440))

  ;; ---- Memory: from the second page on, one piece behind the other, all given back at the end of a call. ----

  (global $top (mut i32) (i32.const 65536))

  ;; The host asks for room for arguments by this; we do, too. `$old` is never 0 where a piece is to grow.
  (func $realloc (export "cabi_realloc")
    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    ;; The next address that is a multiple of the alignment, which is a power of two.
    (local.set $at (i32.and
      (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
      (then
        ;; So many pages as the piece has, and one. A host's limit ends the call here.
        (if (i32.eq (i32.const -1)
              (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))
          (then unreachable))))
    (if (local.get $old)
      (then (memory.copy (local.get $at) (local.get $old) (local.get $old_size))))
    (local.get $at))

  ;; Room whose bytes are 0. What the last call left there is not.
  (func $room (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (call $realloc (i32.const 0) (i32.const 0) (local.get $align) (local.get $size)))
    (memory.fill (local.get $at) (i32.const 0) (local.get $size))
    (local.get $at))

  ;; Called when the host has copied what `handle` returned.
  (func (export "cabi_post_carpe:rule/rule@0.1.0#handle") (param i32)
    (global.set $top (i32.const 65536)))

  ;; ---- The rule. ----

  ;; init: func(configuration: string) -> result<description, string>
  (func (export "carpe:rule/rule@0.1.0#init") (param $text i32) (param $length i32) (result i32)
    ;; Without one, the host gives `{}`.
    (select (i32.const 1024) (i32.const 1400) (i32.eq (local.get $length) (i32.const 2))))

  ;; handle: func(batch: batch) -> result<effects, string>: the batch is two lists.
  ;;
  ;;   keyed, 20 bytes: 0 name; 8 state: 1 if there is one, 12 its address, 16 its length
  ;;   input, 72 bytes: 0 key; 8 time; 16 now; 24 payload: 0 if it is an event
  (func (export "carpe:rule/rule@0.1.0#handle")
    (param $keys i32) (param $key_count i32) (param $inputs i32) (param $input_count i32) (result i32)
    (local $counts i32) (local $states i32) (local $moments i32) (local $moment_count i32)
    (local $index i32) (local $at i32) (local $count i32)

    ;; A count for each key, of 4 bytes, which is its new state too: so each change of a state points to where its count is.
    ;;   state-change, 16 bytes: 0 key; 4 state: 1, 8 its address, 12 its length
    (local.set $counts (call $room (i32.const 4) (i32.mul (local.get $key_count) (i32.const 4))))
    (local.set $states (call $room (i32.const 4) (i32.mul (local.get $key_count) (i32.const 16))))
    (block $all_keys (loop $next_key
      (br_if $all_keys (i32.eq (local.get $index) (local.get $key_count)))
      (local.set $at (i32.add (local.get $keys) (i32.mul (local.get $index) (i32.const 20))))
      (local.set $count (i32.add (local.get $counts) (i32.mul (local.get $index) (i32.const 4))))
      (if (i32.load8_u offset=8 (local.get $at))
        (then
          ;; Written by ourselves, and yet an operator can import what they like.
          (if (i32.ne (i32.load offset=16 (local.get $at)) (i32.const 4))
            (then (return (i32.const 1416))))
          (i32.store (local.get $count) (i32.load align=1 (i32.load offset=12 (local.get $at))))))
      (local.set $at (i32.add (local.get $states) (i32.mul (local.get $index) (i32.const 16))))
      (i32.store offset=0 (local.get $at) (local.get $index))
      (i32.store offset=4 (local.get $at) (i32.const 1))
      (i32.store offset=8 (local.get $at) (local.get $count))
      (i32.store offset=12 (local.get $at) (i32.const 4))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br $next_key)))

    ;; A moment for each input. Those of one key come in order, so its count only goes up.
    (local.set $moments (call $room (i32.const 8) (i32.mul (local.get $input_count) (i32.const 72))))
    (local.set $index (i32.const 0))
    (block $all_inputs (loop $next_input
      (br_if $all_inputs (i32.eq (local.get $index) (local.get $input_count)))
      (local.set $at (i32.add (local.get $inputs) (i32.mul (local.get $index) (i32.const 72))))
      ;; Timers and outcomes come only to a rule that has asked for them.
      (if (i32.eqz (i32.load8_u offset=24 (local.get $at)))
        (then
          (local.set $count
            (i32.add (local.get $counts) (i32.mul (i32.load (local.get $at)) (i32.const 4))))
          (i32.store (local.get $count) (i32.add (i32.load (local.get $count)) (i32.const 1)))
          (call $rang
            (i32.add (local.get $moments) (i32.mul (local.get $moment_count) (i32.const 72)))
            (local.get $index)
            (i32.load (local.get $count)))
          (local.set $moment_count (i32.add (local.get $moment_count) (i32.const 1)))))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br $next_input)))

    (i32.store offset=4 (global.get $result) (local.get $states))
    (i32.store offset=8 (global.get $result) (local.get $key_count))
    (i32.store offset=20 (global.get $result) (local.get $moments))
    (i32.store offset=24 (global.get $result) (local.get $moment_count))
    (global.get $result))

  ;; Fills in a moment, whose bytes are 0: what is not mentioned is none, or empty.
  ;;   moment, 72 bytes: 0 cause; 4 kind; 12 why; 20 subject; 32 data; 48 expires; 64 actions
  ;;   action, 28 bytes: 0 name; 8 reference; 20 data
  (func $rang (param $moment i32) (param $cause i32) (param $count i32)
    (local $action i32) (local $digits i32) (local $length i32)
    (local.set $action (call $room (i32.const 4) (i32.const 28)))
    (call $decimal (local.get $count))
    (local.set $length)
    (local.set $digits)
    (i32.store offset=0 (local.get $moment) (local.get $cause))
    (i32.store offset=4 (local.get $moment) (i32.const 2128))
    (i32.store offset=8 (local.get $moment) (i32.const 13))
    ;; Its length leaves out the last character.
    (i32.store offset=12 (local.get $moment)
      (call $joined (i32.const 2176) (i32.const 5) (local.get $digits) (local.get $length) (i32.const 0x20)))
    (i32.store offset=16 (local.get $moment) (i32.add (i32.const 5) (local.get $length)))
    (i32.store offset=64 (local.get $moment) (local.get $action))
    (i32.store offset=68 (local.get $moment) (i32.const 1))
    (i32.store offset=0 (local.get $action) (i32.const 2160))
    (i32.store offset=4 (local.get $action) (i32.const 16))
    (i32.store offset=20 (local.get $action)
      (call $joined (i32.const 2192) (i32.const 8) (local.get $digits) (local.get $length) (i32.const 0x7d)))
    (i32.store offset=24 (local.get $action) (i32.add (i32.const 9) (local.get $length))))

  ;; Two texts and a character behind them, in one piece.
  (func $joined
    (param $first i32) (param $first_length i32) (param $second i32) (param $second_length i32) (param $last i32)
    (result i32)
    (local $at i32) (local $length i32)
    (local.set $length (i32.add (local.get $first_length) (local.get $second_length)))
    (local.set $at (call $room (i32.const 1) (i32.add (local.get $length) (i32.const 1))))
    (memory.copy (local.get $at) (local.get $first) (local.get $first_length))
    (memory.copy (i32.add (local.get $at) (local.get $first_length)) (local.get $second) (local.get $second_length))
    (i32.store8 (i32.add (local.get $at) (local.get $length)) (local.get $last))
    (local.get $at))

  ;; A number's decimal digits: their address and how many they are. The last comes first.
  (func $decimal (param $number i32) (result i32 i32)
    (local $at i32) (local $end i32)
    (local.set $end (i32.add (call $room (i32.const 1) (i32.const 10)) (i32.const 10)))
    (local.set $at (local.get $end))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 0x30) (i32.rem_u (local.get $number) (i32.const 10))))
      (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
      (br_if $next (local.get $number)))
    (local.get $at)
    (i32.sub (local.get $end) (local.get $at)))
)
