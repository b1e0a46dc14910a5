;; A component that needs another one: it imports `twice`.
(component
  (import "twice" (func $twice (param "number" u32) (result u32)))
  (core func $lowered (canon lower (func $twice)))
  (core module $module
    (import "" "twice" (func $twice (param i32) (result i32)))
    (func (export "four-times") (param i32) (result i32)
      (call $twice (call $twice (local.get 0)))))
  (core instance $instance (instantiate $module
    (with "" (instance (export "twice" (func $lowered))))))
  (func (export "four-times") (param "number" u32) (result u32)
    (canon lift (core func $instance "four-times"))))
